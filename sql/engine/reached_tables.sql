-- The tables that locks are on besides the relations they name: see Reach in pg/lock_modes.py.
-- Children are those of inheritance, not partitions. Of a domain those with a column of it, or of a
-- domain over it; of a composite type those made of it (OF).
-- Locks: none. Called by: engine/table_locks.py.
with recursive wanted as (
    select w.position, w.name, w.reach
    from unnest(%(names)s::text [], %(reaches)s::text []) with ordinality as w (
        name, reach, position
    )
),

children as (
    select w.position, i.inhrelid as oid
    from wanted as w
    inner join pg_class as p on p.oid = to_regclass(w.name) and p.relkind <> 'p'
    inner join pg_inherits as i on i.inhparent = p.oid
    where w.reach = 'CHILDREN'
    union
    select c.position, i.inhrelid
    from children as c
    inner join pg_inherits as i on i.inhparent = c.oid
),

types as (
    select w.position, t.oid, t.typtype
    from wanted as w
    inner join pg_type as t on t.oid = to_regtype(w.name)
    where w.reach = 'TYPE'
    union
    select d.position, t.oid, t.typtype
    from types as d
    inner join pg_type as t on t.typbasetype = d.oid and t.typtype = 'd'
),

reached as (
    select c.position, c.oid
    from children as c
    union
    select w.position, i.indrelid
    from wanted as w
    inner join pg_index as i on i.indexrelid = to_regclass(w.name)
    where w.reach = 'TABLE'
    union
    select t.position, a.attrelid
    from types as t
    inner join pg_depend as d on d.refclassid = 'pg_type'::regclass and d.refobjid = t.oid
    inner join pg_attribute as a on a.attrelid = d.objid and a.attnum = d.objsubid
    where t.typtype = 'd' and d.classid = 'pg_class'::regclass and a.atttypid = t.oid
    union
    select t.position, c.oid
    from types as t
    inner join pg_class as c on c.reloftype = t.oid
)

select r.position::int as position, n.nspname::text as schema, c.relname::text as name
from reached as r
inner join pg_class as c on r.oid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where c.relkind in ('r', 'p', 'm') and not (c.relkind = 'p' and c.reloftype = 0)
order by r.position, n.nspname, c.relname
