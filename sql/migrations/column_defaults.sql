-- What columns get when an INSERT does not name them; NULL: nothing. Locks: none.
-- Called by: migrations/backfill/keep_rule.py.
select
    a.attname::text as name,
    coalesce(pg_get_expr(d.adbin, d.adrelid), 'NULL') as value,
    a.attidentity <> '' or a.attgenerated <> '' as is_filled_by_server
from pg_attribute as a
left join pg_attrdef as d on a.attrelid = d.adrelid and a.attnum = d.adnum
where a.attrelid = %(oid)s::bigint::oid and a.attname = any(%(names)s::text [])
