-- Hold the fence for the length of a journalled transaction; no row: another run took over.
-- Locks: the fence's row FOR SHARE. Called by: engine/exclusive.py.
select f.token
from pgstrata.fence as f
where f.object = %(object)s and f.token = %(token)s and f.nonce = %(nonce)s::uuid
for share
