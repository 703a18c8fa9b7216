-- Give an object's session-level advisory lock back. Called by: engine/remains.py.
select pg_advisory_unlock(%(key)s) as released
