-- Sizes of tables without their indexes, of partitioned ones with all of their partitions.
-- Locks: ACCESS SHARE for a moment.
-- Called by: engine/estimate.py, migrations/observe.py.
select
    w.name,
    coalesce(
        (select sum(pg_table_size(p.relid)) from pg_partition_tree(to_regclass(w.name)) as p),
        pg_table_size(to_regclass(w.name)),
        0
    )::bigint as bytes
from unnest(%(names)s::text []) as w (name)
