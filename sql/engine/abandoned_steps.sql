-- Steps that were started, may have left something behind, and whose object has this claim (if any).
-- Locks: none. Called by: engine/remains.py.
select
    s.object,
    s.id,
    s.leftover,
    c.cluster,
    c.kind,
    c.namespace,
    c.name
from pgstrata.step as s
left join pgstrata.claim as c on s.object = c.object
where s.state = 'Started' and s.leftover is not null
order by s.object, s.id
