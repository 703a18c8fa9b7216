-- Whether a schema exists, whether this role may create in it, and whether in the control schema,
-- where a kept trigger has its function; a control schema still to be made will be its own.
-- Locks: none.
-- Called by: migrations/observe.py.
select
    n.oid is not null as schema_exists,
    coalesce(has_schema_privilege(n.oid, 'CREATE'), false) as may_create,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) as may_use,
    coalesce(has_schema_privilege(k.oid, 'CREATE'), true) as may_keep,
    not exists (
        select 1 from pg_class as c where c.relnamespace = n.oid and c.relkind in ('r', 'p', 'v', 'm')
    ) as is_empty
from (select 1) as one
left join pg_namespace as n on n.nspname = %(schema)s
left join pg_namespace as k on k.nspname = 'pgstrata'
