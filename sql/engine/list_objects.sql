-- The objects for which anything was ever written down. Locks: none. Called by: cli/history.py.
select v.object from pgstrata.version as v
union
select c.object from pgstrata.claim as c
order by object
