-- Who and where this session is, asked before anything is set on it.
-- Locks: none. Called by: pg/connect.py.
select
    pg_backend_pid() as pid,
    pg_is_in_recovery() as in_recovery,
    current_setting('transaction_read_only')::bool as read_only,
    current_setting('server_version_num')::int as version_number,
    current_setting('server_version') as version,
    current_setting('deadlock_timeout') as deadlock_timeout,
    (select extract(epoch from current_setting('deadlock_timeout')::interval) * 1000)::int
        as deadlock_ms,
    current_database()::text as database,
    current_user::text as role
