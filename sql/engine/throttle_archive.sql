-- WAL files that wait for the archiver, from its own directory: only where the role may list it
-- (pg_monitor). Locks: none. Called by: engine/throttle.py.
select count(*) as waiting
from pg_ls_archive_statusdir() as f
where f.name ~ '^[0-9A-F]{24}[.]ready$'
