-- Which backend holds an object's advisory lock, and how long ago its monitor last beat (seconds,
-- by this server's clock; where there is no beat of this very backend, since it last did anything).
-- A backend of another role is not shown without pg_read_all_stats: it counts as alive.
-- Locks: none. Called by: engine/exclusive.py, when the lock was refused.
select
    l.pid,
    coalesce(a.backend_start, '-infinity')::text as backend_start,
    coalesce(a.application_name, '') as application_name,
    coalesce(
        extract(epoch from clock_timestamp() - coalesce(h.at, a.state_change, a.backend_start)),
        0
    )::float8 as silent_seconds
from pg_locks as l
inner join pg_stat_activity as a on l.pid = a.pid
left join pgstrata.heartbeat as h
    on h.object = %(object)s and h.pid = a.pid and h.backend_start = a.backend_start
where
    l.locktype = 'advisory'
    and l.database = (select oid from pg_database where datname = current_database())
    and l.classid = ((%(key)s::bigint >> 32) & 4294967295)::oid
    and l.objid = (%(key)s::bigint & 4294967295)::oid
    and l.objsubid = 1
    and l.granted
