-- How many rows of a table, its partitions included, were written since its statistics began, by
-- whomever, rolled back or not. Sessions tell at most once a second. Locks: none. Called by:
-- migrations/backfill/neighbours.py.
select
    coalesce(
        sum(
            pg_stat_get_tuples_inserted(t.oid)
            + pg_stat_get_tuples_updated(t.oid)
            + pg_stat_get_tuples_deleted(t.oid)
        ),
        0
    )::bigint as changes
from (
    select %(oid)s::oid as oid
    union
    select p.relid::oid from pg_partition_tree(%(oid)s::oid) as p
) as t
