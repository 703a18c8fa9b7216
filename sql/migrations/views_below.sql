-- The definitions of these views and of all views that they read, however deep. Locks: ACCESS SHARE
-- on what they read. Called by: migrations/backfill/volatility.py.
with recursive view (oid) as (
    select c.oid
    from unnest(%(names)s::text []) as wanted (name)
    inner join pg_class as c on c.oid = to_regclass(wanted.name)
    where c.relkind = 'v'
    union
    select c.oid
    from view as v
    inner join pg_rewrite as r on v.oid = r.ev_class
    inner join pg_depend as d on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
    inner join pg_class as c on d.refobjid = c.oid and d.refclassid = 'pg_class'::regclass
    where c.relkind = 'v'
)

select
    v.oid::regclass::text as name,
    pg_get_viewdef(v.oid) as definition
from view as v
order by 1
