-- Whether a schema exists. Locks: none. Called by: migrations/schema_steps.py, observe.py.
select exists (select 1 from pg_namespace where nspname = %(schema)s) as found
