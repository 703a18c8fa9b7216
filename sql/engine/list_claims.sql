-- Everything that is managed in this database, and by whom. Locks: none. Called by: cli/status.py.
select object, cluster, kind, namespace, name, uid
from pgstrata.claim
order by object
