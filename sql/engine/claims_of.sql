-- What resources of one cluster have claimed here. Locks: none. Called by: engine/remains.py.
select object, cluster, kind, namespace, name, uid
from pgstrata.claim
where cluster = %(cluster)s
order by object
