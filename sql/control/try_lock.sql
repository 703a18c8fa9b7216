-- Take the control schema's own lock until the end of the transaction, without waiting: a blocked
-- waiter would hold a snapshot. Called by: engine/control.py.
select pg_try_advisory_xact_lock(%(key)s) as acquired
