-- How far a concurrent build is; columns are NULL for roles that may not see other sessions.
-- Locks: none. Called by: migrations/index_step.py, on the monitor connection.
select
    p.phase,
    coalesce(p.blocks_done, 0)::bigint as blocks_done,
    coalesce(p.blocks_total, 0)::bigint as blocks_total,
    coalesce(p.tuples_done, 0)::bigint as tuples_done,
    coalesce(p.tuples_total, 0)::bigint as tuples_total,
    coalesce(p.current_locker_pid, 0)::int as waiting_for,
    coalesce(a.application_name, '') as waiting_for_name
from pg_stat_progress_create_index as p
left join pg_stat_activity as a on p.current_locker_pid = a.pid
where p.pid = %(pid)s and p.phase is not null
