-- Whether a schema exists, and whether this role may create in it. Locks: none.
-- Called by: migrations/observe.py.
select
    n.oid is not null as schema_exists,
    coalesce(has_schema_privilege(n.oid, 'CREATE'), false) as may_create,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) as may_use,
    not exists (
        select 1 from pg_class as c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm')
    ) as is_empty
from (select 1) as one
left join pg_namespace as n on n.nspname = %(schema)s
