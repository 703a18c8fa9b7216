-- Say that the session which just got the object's lock is alive. Called by: engine/exclusive.py.
insert into pgstrata.heartbeat as h (object, pid, backend_start, at)
values (%(object)s, %(pid)s, %(backend_start)s::timestamptz, clock_timestamp())
on conflict (object) do update
set pid = excluded.pid, backend_start = excluded.backend_start, at = excluded.at
