-- Which of these columns of a plain table the planner knows nothing of, since they were never
-- analyzed. Locks: none. Called by: migrations/backfill/column_statistics.py.
select a.attname::text as name
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_attribute as a on c.oid = a.attrelid
where
    c.oid = %(oid)s::bigint::oid
    and c.relkind = 'r' and not c.relhassubclass
    and a.attname = any(%(names)s::text [])
    and a.attnum > 0 and not a.attisdropped
    and a.attstattarget is distinct from 0
    and not exists (
        select from pg_stats as s
        where s.schemaname = n.nspname and s.tablename = c.relname and s.attname = a.attname
    )
order by a.attnum
