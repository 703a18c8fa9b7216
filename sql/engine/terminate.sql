-- End one backend, if it is still the one that was looked at. Called by: engine/exclusive.py.
select pg_terminate_backend(a.pid) as done
from pg_stat_activity as a
where a.pid = %(pid)s and a.backend_start = %(backend_start)s::timestamptz
