-- Objects for which something was made in the application's tables and that nobody manages any more.
-- Locks: none. Called by: engine/remains.py.
select distinct o.object
from pgstrata.owned as o
where not exists (select 1 from pgstrata.claim as c where c.object = o.object)
order by o.object
