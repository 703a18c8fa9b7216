-- The settings that every session of ours works under; all may be set by any role.
-- client_connection_check_interval ends a statement whose client died. Locks: none.
-- Called by: pg/session.py, at the start and after each file that may have changed settings.
select
    set_config('search_path', %(search_path)s, false),
    set_config('lock_timeout', %(lock_ms)s, false),
    set_config('statement_timeout', %(statement_ms)s, false),
    set_config('idle_in_transaction_session_timeout', '60s', false),
    set_config('idle_session_timeout', '0', false),
    set_config('client_connection_check_interval', '10s', false),
    set_config('client_min_messages', 'warning', false),
    set_config('default_transaction_isolation', 'read committed', false),
    -- what the driver can read; the order of day and month stays
    set_config('datestyle', 'ISO', false),
    set_config('intervalstyle', 'postgres', false),
    set_config('application_name', %(application_name)s, false),
    (
        select set_config('transaction_timeout', '0', false)
        where current_setting('server_version_num')::int >= 170000
    ),
    (
        select backend_start::text from pg_stat_get_activity(pg_backend_pid())
    ) as backend_start
