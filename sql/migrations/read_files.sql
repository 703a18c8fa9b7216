-- Files that were applied whole. Locks: none. Called by: migrations/journal.py.
select version, file, phase, checksum, is_baseline
from pgstrata.file
where object = %(object)s
