-- Who manages an object. Locks: none beyond the row's. Called by: engine/claims.py.
select object, cluster, kind, namespace, name, uid
from pgstrata.claim
where object = %(object)s
