-- Which of some relations show rows that a backfill changes: its table itself, what it inherits from
-- or is inherited by, views of those, and where it deletes what a foreign key changes along with it.
-- is_view: by a view, of an UPDATE only one that reads one of the columns that are set.
-- Locks: none. Called by: migrations/backfill/shape.py.
with recursive seen (name, oid, column_name, is_view) as (
    select
        w.name,
        to_regclass(w.name)::oid,
        null::name,
        false
    from unnest(%(names)s::text []) as w (name)
    union
    select
        s.name,
        d.refobjid,
        a.attname,
        true
    from seen as s
    inner join pg_class as c on s.oid = c.oid and c.relkind = 'v'
    inner join pg_rewrite as r on c.oid = r.ev_class
    inner join pg_depend as d on r.oid = d.objid and d.classid = 'pg_rewrite'::regclass
    left join pg_attribute as a on d.refobjid = a.attrelid and d.refobjsubid = a.attnum
    where d.refclassid = 'pg_class'::regclass and d.refobjid <> c.oid
),

moves (one, other) as (
    select i.inhrelid, i.inhparent from pg_inherits as i
    union all
    select i.inhparent, i.inhrelid from pg_inherits as i
    union all
    select k.confrelid, k.conrelid
    from pg_constraint as k
    where %(deletes)s::boolean and k.contype = 'f' and k.confdeltype in ('c', 'n', 'd')
),

own (oid) as (
    select %(oid)s::bigint::oid
    union
    select m.other
    from own as o
    inner join moves as m on o.oid = m.one
)

select
    s.name,
    bool_or(s.is_view) as is_view
from seen as s
inner join own as o on s.oid = o.oid
where
    not s.is_view
    or %(deletes)s::boolean
    or s.column_name = any(%(columns)s::name [])
group by s.name
order by s.name
