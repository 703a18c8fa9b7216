-- Write down that a version's verify files returned no row. Called by: migrations/verify_step.py.
insert into pgstrata.verification as v (object, version, phase, checksum)
values (%(object)s, %(version)s, %(phase)s, %(checksum)s)
on conflict (object, version, phase) do update
set checksum = excluded.checksum, verified_at = clock_timestamp()
