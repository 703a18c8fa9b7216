-- Whether there is a control schema, and whether this role may make or read one.
-- Locks: none. Called by: engine/control.py.
select
    -- not to_regclass, which needs USAGE and sees what was committed since this statement began
    exists (
        select 1 from pg_class as c where c.relnamespace = n.oid and c.relname = 'control'
    ) as is_installed,
    n.oid is not null as has_schema,
    coalesce(pg_has_role(n.nspowner, 'USAGE'), false) as owns_schema,
    coalesce(has_schema_privilege(n.oid, 'USAGE'), false) as may_use,
    not exists (
        select 1
        from pg_class as c
        where
            c.relnamespace = n.oid
            and c.relkind = 'r'
            and not (
                has_table_privilege(c.oid, 'SELECT')
                and has_table_privilege(c.oid, 'INSERT')
                and has_table_privilege(c.oid, 'UPDATE')
                and has_table_privilege(c.oid, 'DELETE')
            )
    ) as may_write,
    has_database_privilege(current_database(), 'CREATE') as may_create_schema,
    current_user::text as role,
    current_database()::text as database
from (select 1) as one
left join pg_namespace as n on n.nspname = 'pgstrata'
