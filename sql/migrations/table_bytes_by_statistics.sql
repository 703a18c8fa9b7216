-- Sizes of tables as the statistics have them: for where a lock keeps them from being measured.
-- Locks: none. Called by: migrations/observe.py.
select
    w.name,
    (
        sum(greatest(c.relpages, 0)::bigint) * current_setting('block_size')::bigint
    )::bigint as bytes
from unnest(%(names)s::text []) as w (name)
cross join lateral (
    select to_regclass(w.name)::oid as oid
    union
    select p.relid from pg_partition_tree(to_regclass(w.name)) as p
) as part
inner join pg_class as c on c.oid = part.oid
group by w.name
