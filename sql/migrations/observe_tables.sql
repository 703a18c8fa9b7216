-- The relations that statements name: where they are, whether this role may alter them, and which
-- rights to rows it has, be it on one column alone.
-- Locks: none, not even for a size: a look must not wait for a stopped run that has a table locked,
-- or nobody would come to end it. Called by: migrations/observe.py.
select
    w.position::int as position,
    n.nspname::text as schema,
    c.relname::text as name,
    pg_has_role(c.relowner, 'USAGE') as owns,
    pg_get_userbyid(c.relowner)::text as owner,
    array_remove(
        array[
            case when has_any_column_privilege(c.oid, 'SELECT') then 'SELECT' end,
            case when has_any_column_privilege(c.oid, 'INSERT') then 'INSERT' end,
            case when has_any_column_privilege(c.oid, 'UPDATE') then 'UPDATE' end,
            case when has_table_privilege(c.oid, 'DELETE') then 'DELETE' end
        ],
        null
    ) as privileges
from unnest(%(names)s::text []) with ordinality as w (name, position)
inner join pg_class as c on c.oid = to_regclass(w.name)
inner join pg_namespace as n on c.relnamespace = n.oid
