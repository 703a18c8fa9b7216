-- How many blocks and, by the statistics, rows a table has, and which file it is in: a rewrite gives
-- it another. Locks: ACCESS SHARE for a moment. Called by: migrations/backfill/row_ranges.py.
select
    (pg_relation_size(c.oid) / current_setting('block_size')::bigint)::bigint as blocks,
    coalesce(nullif(greatest(c.reltuples, 0), 0), 0)::bigint as rows,
    greatest(c.relpages, 1)::bigint as pages,
    coalesce(pg_relation_filenode(c.oid), 0)::bigint as filenode
from pg_class as c
where c.oid = %(oid)s::bigint::oid
