-- What was made in the application's tables for one object, oldest first. The trigger's table is
-- looked up anew: it may have been renamed, or be gone with the trigger. Locks: none.
-- Called by: engine/owned.py.
select
    o.name,
    o.step,
    o.version,
    coalesce(n.nspname || '.' || c.relname, o.table_name) as table_name,
    o.purpose,
    o.until,
    o.made_at,
    n.nspname::text as schema,
    c.relname::text as table,
    coalesce(c.oid, 0)::bigint as table_oid,
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = t.tgrelid and a.attnum = any(t.tgattr::smallint [])
    ) as columns,
    not exists (
        select from pg_trigger as x
        where x.tgfoid = t.tgfoid and x.tgenabled <> 'A'
    ) as is_enabled
from pgstrata.owned as o
left join pg_trigger as t
    on t.tgfoid = to_regproc('pgstrata.' || quote_ident(o.name)) and not t.tgisinternal
    and t.tgparentid = 0
left join pg_class as c on t.tgrelid = c.oid
left join pg_namespace as n on c.relnamespace = n.oid
where o.object = %(object)s
order by o.made_at, o.name
