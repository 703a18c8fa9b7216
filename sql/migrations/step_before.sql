-- What the journal knows of a step outside a transaction from an earlier run. Locks: none.
-- Called by: migrations/journal.py.
select state, checksums, coalesce(error, '') as error
from pgstrata.step
where object = %(object)s and id = %(id)s
