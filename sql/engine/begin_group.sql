-- Hold the fence and set the limits of a group of statements, both until its transaction ends; no
-- row: another run took over. Locks: the fence's row FOR SHARE. Called by: engine/exclusive.py.
select
    f.token,
    set_config('lock_timeout', %(lock_ms)s, true) as lock_timeout,
    set_config('statement_timeout', %(statement_ms)s, true) as statement_timeout
from pgstrata.fence as f
where f.object = %(object)s and f.token = %(token)s and f.nonce = %(nonce)s::uuid
for share
