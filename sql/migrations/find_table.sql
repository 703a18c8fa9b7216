-- The table that a name means under this session's search_path. Locks: none.
-- Called by: migrations/index_step.py.
select
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as relkind,
    c.oid::bigint as oid
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where c.oid = to_regclass(%(name)s)
