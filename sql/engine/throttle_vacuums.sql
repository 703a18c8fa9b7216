-- Autovacuum workers at work on a table. Which table a vacuum is for is hidden without
-- pg_read_all_stats, its locks and its pid are not; a vacuum that a person started has a role.
-- Locks: none. Called by: engine/throttle.py.
select v.pid
from pg_stat_progress_vacuum as v
inner join pg_stat_activity as a on v.pid = a.pid
inner join pg_locks as l on v.pid = l.pid
where
    a.usesysid is null
    and l.locktype = 'relation'
    and l.database = (select d.oid from pg_database as d where d.datname = current_database())
    and l.relation = %(table_oid)s::bigint::oid
    and l.mode = 'ShareUpdateExclusiveLock'
    and l.granted
