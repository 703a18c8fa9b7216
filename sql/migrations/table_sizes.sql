-- Sizes of tables with their indexes, by qualified name. Locks: none. Called by: cli/plan.py.
select n.nspname || '.' || c.relname as name, pg_total_relation_size(c.oid)::bigint as bytes
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname || '.' || c.relname = any(%(names)s::text [])
