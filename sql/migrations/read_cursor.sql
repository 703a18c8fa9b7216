-- How far a backfill is. Locks: none. Called by: migrations/backfill/cursor.py.
select checksum, pass as pass_, position, upper, filenode, rows, pass_rows, remaining
from pgstrata.cursor
where object = %(object)s and id = %(id)s
