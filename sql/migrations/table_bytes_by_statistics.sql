-- Sizes of tables as the statistics have them: for where a lock keeps them from being measured.
-- Locks: none. Called by: migrations/observe.py.
select
    w.name,
    (greatest(c.relpages, 0)::bigint * current_setting('block_size')::bigint)::bigint as bytes
from unnest(%(names)s::text []) as w (name)
inner join pg_class as c on c.oid = to_regclass(w.name)
