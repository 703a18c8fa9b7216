-- The size of this database. Locks: none. Called by: engine/estimate.py.
select pg_database_size(current_database())::bigint as bytes
