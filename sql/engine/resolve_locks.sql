-- The tables that exist of those whose locks are wanted, in the order in which locks are taken.
-- An index stands for its table. may_lock: LOCK TABLE needs a right that DDL alone may not need.
-- vacuum_age_exceeded: a vacuum of this table cannot be asked to give way.
-- Locks: none beyond the catalog's. Called by: engine/table_locks.py.
with wanted as (
    select w.name, w.mode
    from unnest(%(names)s::text [], %(modes)s::int []) as w (name, mode)
),

resolved as (
    select
        case when c.relkind in ('i', 'I') then i.indrelid else c.oid end as oid,
        max(w.mode) as mode
    from wanted as w
    inner join pg_class as c on c.oid = to_regclass(w.name)
    left join pg_index as i on c.oid = i.indexrelid
    group by 1
)

select
    n.nspname::text as schema,
    c.relname::text as name,
    c.oid::bigint as oid,
    r.mode,
    (
        has_table_privilege(c.oid, 'UPDATE')
        or has_table_privilege(c.oid, 'DELETE')
        or has_table_privilege(c.oid, 'TRUNCATE')
    ) as may_lock,
    (
        c.relkind = 'r'
        and age(c.relfrozenxid) > current_setting('autovacuum_freeze_max_age')::int
        and exists (
            select 1
            from pg_locks as l
            where
                l.locktype = 'relation'
                and l.relation = c.oid
                and l.mode = 'ShareUpdateExclusiveLock'
                and l.granted
                and l.pid <> pg_backend_pid()
        )
    ) as vacuum_age_exceeded
from resolved as r
inner join pg_class as c on r.oid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
where c.relkind in ('r', 'p')
order by n.nspname, c.relname
