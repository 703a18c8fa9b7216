-- Sizes of tables without their indexes. Locks: ACCESS SHARE for a moment.
-- Called by: engine/estimate.py, migrations/observe.py.
select w.name, coalesce(pg_table_size(to_regclass(w.name)), 0)::bigint as bytes
from unnest(%(names)s::text []) as w (name)
