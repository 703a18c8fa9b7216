-- Backends that still work for this object under a lower token: statements of a client that died.
-- Locks: none. Called by: engine/exclusive.py, after the fence was raised.
select
    a.pid,
    a.backend_start::text as backend_start,
    a.application_name,
    0::float8 as silent_seconds
from pg_stat_activity as a
where
    a.datname = current_database()
    and a.pid <> pg_backend_pid()
    and pg_has_role(a.usesysid, 'USAGE')
    and case
        when a.application_name ~ ('^pgstrata:' || %(hash)s || ':[0-9]{1,18}$')
            then split_part(a.application_name, ':', 3)::bigint < %(token)s
        else false
    end
