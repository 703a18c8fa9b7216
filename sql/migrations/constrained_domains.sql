-- Which types are domains with a constraint of their own or of a domain that they are over.
-- Locks: none. Called by: migrations/domains.py.
with recursive chain as (
    select w.position, t.oid, t.typtype, t.typbasetype, t.typnotnull
    from unnest(%(names)s::text []) with ordinality as w (name, position)
    inner join pg_type as t on t.oid = to_regtype(w.name)
    union all
    select c.position, t.oid, t.typtype, t.typbasetype, t.typnotnull
    from chain as c
    inner join pg_type as t on c.typbasetype = t.oid
    where c.typtype = 'd'
)

select distinct c.position::int as position
from chain as c
where
    c.typtype = 'd'
    and (
        c.typnotnull
        or exists (select 1 from pg_constraint as k where k.contypid = c.oid and k.contype = 'c')
    )
