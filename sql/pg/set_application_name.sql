-- Rename this session for other sessions to see. Locks: none. Called by: pg/session.py.
select set_config('application_name', %(application_name)s, false)
