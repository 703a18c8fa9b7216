-- Take an object's session-level advisory lock, without waiting: a blocked waiter would hold a
-- snapshot and deadlock with a concurrent index build. Called by: engine/exclusive.py, polled.
select pg_try_advisory_lock(%(key)s) as acquired
