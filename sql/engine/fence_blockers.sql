-- Backends of ours that keep a session from raising its fence. Locks: none.
-- Called by: engine/exclusive.py, on the monitor connection.
select
    a.pid,
    a.backend_start::text as backend_start,
    a.application_name,
    0::float8 as silent_seconds
from pg_stat_activity as a
where a.pid = any(pg_blocking_pids(%(pid)s)) and a.application_name like 'pgstrata:%%'
