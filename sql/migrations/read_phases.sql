-- Which phases of which versions are complete. Locks: none. Called by: migrations/journal.py.
select version, phase, name, completed_at, duration_ms
from pgstrata.version
where object = %(object)s
