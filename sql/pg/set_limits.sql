-- How long the next statements may wait and run. Locks: none. Called by: pg/session.py.
select
    set_config('lock_timeout', %(lock_ms)s, %(local)s),
    set_config('statement_timeout', %(statement_ms)s, %(local)s)
