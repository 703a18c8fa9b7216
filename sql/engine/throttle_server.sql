-- What long work gives way to, as far as every role may see it: WAL position, the replication slot
-- that holds back most, connections in use, what the archiver did last. Other roles' backends are
-- counted too; their type is NULL without pg_read_all_stats, and autovacuum has no role.
-- Locks: none. Called by: engine/throttle.py.
select
    pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint as wal_position,
    s.slot_name::text as slot,
    coalesce(s.retained, 0)::bigint as slot_retained,
    (
        select count(*)
        from pg_stat_activity as b
        where
            b.usesysid is not null
            and b.datid is not null
            and coalesce(b.backend_type, 'client backend') = 'client backend'
    ) as connections,
    current_setting('max_connections')::int as max_connections,
    current_setting('archive_mode') <> 'off' as is_archiving,
    has_function_privilege('pg_ls_archive_statusdir()', 'EXECUTE') as may_list_archive,
    pg_walfile_name(pg_current_wal_lsn()) as current_file,
    (select w.setting::bigint from pg_settings as w where w.name = 'wal_segment_size')
        as segment_size,
    coalesce(a.last_archived_wal, '') as last_archived,
    coalesce(a.last_failed_wal, '') as last_failed,
    coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) as is_failing
from pg_stat_archiver as a
left join lateral (
    select
        r.slot_name,
        pg_wal_lsn_diff(pg_current_wal_lsn(), r.restart_lsn) as retained
    from pg_replication_slots as r
    where r.restart_lsn is not null and r.wal_status is distinct from 'lost'
    order by retained desc
    limit 1
) as s on true
