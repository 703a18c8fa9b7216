-- Steps of a schema that were started and may have left an index behind. Locks: none.
-- Called by: migrations/leftovers.py, by the one who works on the schema.
select id, leftover
from pgstrata.step
where object = %(object)s and state = 'Started' and leftover is not null
order by id
