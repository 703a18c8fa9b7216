-- The backfills of a schema that were begun and are not done. Locks: none.
-- Called by: migrations/backfill/cursor.py.
select id, checksum, position, rows
from pgstrata.cursor
where object = %(object)s
order by id
