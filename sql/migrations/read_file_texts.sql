-- Files as they were when they were applied. Locks: none. Called by: cli/history.py.
select version, phase, file, checksum, completed_at, text
from pgstrata.file
where object = %(object)s
order by completed_at, file
