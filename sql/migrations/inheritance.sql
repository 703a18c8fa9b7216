-- The partition and its parent among two relations, and whether its detach is pending. Locks: none.
-- Called by: migrations/outside.py.
select
    pn.nspname::text as parent_schema,
    p.relname::text as parent,
    cn.nspname::text as child_schema,
    c.relname::text as child,
    i.inhdetachpending as is_pending
from pg_inherits as i
inner join pg_class as p on i.inhparent = p.oid
inner join pg_namespace as pn on p.relnamespace = pn.oid
inner join pg_class as c on i.inhrelid = c.oid
inner join pg_namespace as cn on c.relnamespace = cn.oid
where
    p.oid in (select to_regclass(n) from unnest(%(names)s::text []) as n)
    and c.oid in (select to_regclass(n) from unnest(%(names)s::text []) as n)
