-- Which verify files held after which phases. Locks: none. Called by: migrations/journal.py.
select version, phase, checksum
from pgstrata.verification
where object = %(object)s
