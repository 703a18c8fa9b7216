-- The relation of a name: its definition if it is an index, whether it can be used, and who may
-- still be building it. Builders come from pg_locks, not from pg_stat_progress_create_index, whose
-- columns are NULL for roles without pg_read_all_stats (pid is not). A vacuum builds nothing.
-- Locks: none beyond the catalog's. Called by: pg/indexes.py.
select
    c.relkind::text as relkind,
    coalesce(pg_get_indexdef(i.indexrelid), '') as definition,
    coalesce(i.indisvalid and i.indisready and i.indislive, false) as is_valid,
    coalesce(i.indrelid, 0)::bigint as table_oid,
    coalesce(
        (
            select array_agg(l.pid)
            from pg_locks as l
            where
                l.locktype = 'relation'
                and l.database = (select oid from pg_database where datname = current_database())
                and l.relation = i.indrelid
                and l.mode = 'ShareUpdateExclusiveLock'
                and l.pid <> pg_backend_pid()
                and l.pid not in (select v.pid from pg_stat_progress_vacuum as v)
                and l.pid not in (select n.pid from pg_stat_progress_analyze as n)
        ),
        '{}'
    ) as builders
from pg_class as c
left join pg_index as i on c.oid = i.indexrelid
where c.oid = to_regclass(%(name)s)
