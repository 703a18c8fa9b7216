-- The definition of the index that was built on the empty copy. Locks: none.
-- Called by: migrations/index_step.py.
select pg_get_indexdef(to_regclass('pg_temp.pgstrata_shape_index')) as definition
