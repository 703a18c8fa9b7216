-- Sizes of tables with their indexes, by qualified name; of partitioned ones with all of their
-- partitions. Locks: ACCESS SHARE for a moment. Called by: cli/plan.py.
select
    n.nspname || '.' || c.relname as name,
    coalesce(
        (select sum(pg_total_relation_size(p.relid)) from pg_partition_tree(c.oid) as p),
        pg_total_relation_size(c.oid),
        0
    )::bigint as bytes
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
where n.nspname || '.' || c.relname = any(%(names)s::text [])
