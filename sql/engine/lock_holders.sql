-- Who holds locks that stand in the way of those wanted (pairs of table and conflicting mode).
-- A prepared transaction has no pid; its name is told instead, found by the lock on its own id that
-- it holds under the same virtualtransaction (that of the session that prepared it). Names of other roles' applications
-- are NULL without pg_read_all_stats. Locks: none. Called by: engine/table_locks.py.
select
    coalesce(l.pid, 0) as pid,
    coalesce(a.application_name, '') as application_name,
    coalesce(a.state, '') as state,
    coalesce(a.backend_type, '') as backend_type,
    coalesce(p.gid, '') as prepared,
    coalesce(
        extract(epoch from clock_timestamp() - coalesce(a.xact_start, a.query_start, p.prepared)),
        0
    )::float8 as age_seconds,
    n.nspname || '.' || c.relname as table_name,
    l.mode
from unnest(%(oids)s::bigint [], %(modes)s::text []) as w (oid, mode)
inner join pg_locks as l
    on
        l.locktype = 'relation'
        and l.database = (select d.oid from pg_database as d where d.datname = current_database())
        and l.relation = w.oid::oid
        and l.mode = w.mode
        and l.granted
        and l.pid is distinct from pg_backend_pid()
inner join pg_class as c on l.relation = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
left join pg_stat_activity as a on l.pid = a.pid
left join pg_locks as x
    on
        l.pid is null
        and x.pid is null
        and x.locktype = 'transactionid'
        and x.virtualtransaction = l.virtualtransaction
left join pg_prepared_xacts as p on x.transactionid = p.transaction
order by age_seconds desc
