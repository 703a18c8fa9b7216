-- Which of some relations, or of those that their views read, row-level security hides rows of from
-- this role. A view of somebody who sees all rows, and which reads as its owner, hides none.
-- Locks: none. Called by: migrations/backfill/reads.py.
with recursive seen (oid) as (
    select c.oid
    from unnest(%(names)s::text []) as wanted (name)
    inner join pg_class as c on c.oid = to_regclass(wanted.name)
    union
    select d.refobjid
    from seen as s
    inner join pg_class as c on s.oid = c.oid and c.relkind = 'v'
    inner join pg_roles as o on c.relowner = o.oid
    inner join pg_rewrite as r on c.oid = r.ev_class
    inner join pg_depend as d on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
    where
        d.refclassid = 'pg_class'::regclass
        and d.refobjid <> c.oid
        and (
            not (o.rolsuper or o.rolbypassrls)
            or coalesce(c.reloptions && array['security_invoker=true', 'security_invoker=on'], false)
        )
)

select c.oid::regclass::text as name
from seen as s
inner join pg_class as c on s.oid = c.oid
where c.relkind in ('r', 'p') and row_security_active(c.oid)
order by 1
