-- Operators and casts that run a volatile function. Which of several of one name is meant is not
-- asked: one that is volatile is enough. Of casts it is said whose type their source may have.
-- Locks: none. Called by: migrations/backfill/volatility.py.
with columns as (
    select
        a.atttypid as type,
        a.attname::text as name,
        c.oid is not distinct from to_regclass(%(target)s)::oid as is_set
    from unnest(%(relations)s::text []) as wanted (name)
    inner join pg_class as c on c.oid = to_regclass(wanted.name)
    inner join pg_attribute as a on c.oid = a.attrelid
    where a.attnum > 0 and not a.attisdropped
),

named (kind, name, type) as (
    select 'column', c.name, c.type
    from columns as c
    union
    select 'function', p.proname::text, p.prorettype
    from pg_proc as p
    where p.proname = any(%(sources)s::text [])
    union
    select 'operator', o.oprname::text, o.oprresult
    from pg_operator as o
    where o.oprname = any(%(sources)s::text [])
    union
    select 'type', wanted.name, to_regtype(wanted.name)::oid
    from unnest(%(sources)s::text [] || %(targets)s::text []) as wanted (name)
    where wanted.name like '"%%'
),

-- of domains and arrays, what they are made of, too
opened as (
    select n.kind, n.name, n.type
    from named as n
    union
    select n.kind, n.name, part.type
    from named as n
    inner join pg_type as t on n.type = t.oid
    cross join lateral (values (t.typbasetype), (t.typelem)) as part (type)
),

casts as (
    select
        s.type as source,
        t.type as target,
        w.target_kind = 'column' as is_assigned
    from unnest(
        %(source_kinds)s::text [], %(sources)s::text [],
        %(target_kinds)s::text [], %(targets)s::text []
    ) as w (source_kind, source, target_kind, target)
    inner join opened as s on w.source_kind = s.kind and w.source = s.name
    inner join opened as t on w.target_kind = t.kind and w.target = t.name
    where
        w.target_kind = 'type'
        or exists (
            select from columns as c
            where c.is_set and c.name = w.target
        )
)

select 'operator ' || o.oprname as name
from pg_operator as o
inner join pg_proc as p on o.oprcode = p.oid
where
    o.oprname = any(%(operators)s::text [])
    and o.oprnamespace <> 'pg_catalog'::regnamespace
    and p.provolatile = 'v'
union
select 'the cast from ' || k.castsource::regtype || ' to ' || k.casttarget::regtype
from casts as c
inner join pg_cast as k on c.source = k.castsource and c.target = k.casttarget
inner join pg_proc as p on k.castfunc = p.oid
where p.provolatile = 'v' and (not c.is_assigned or k.castcontext <> 'e')
order by 1
