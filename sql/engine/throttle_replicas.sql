-- How far each replica is. All columns but the pid are NULL without pg_read_all_stats, so a NULL
-- state says that the role may not see. What does not replay (pg_receivewal) is judged by what it
-- has written. Locks: none. Called by: engine/throttle.py.
select
    r.pid,
    r.application_name,
    r.state,
    extract(epoch from r.replay_lag)::float8 as replay_lag,
    pg_wal_lsn_diff(coalesce(r.replay_lsn, r.write_lsn, r.sent_lsn), '0/0')::bigint as position
from pg_stat_replication as r
