-- INVALID indexes of tables (and of their TOAST tables) with the names that REINDEX CONCURRENTLY
-- gives to what it builds and replaces. Locks: none. Called by: migrations/outside.py.
select n.nspname::text as schema, c.relname::text as name
from pg_index as i
inner join pg_class as c on i.indexrelid = c.oid
inner join pg_namespace as n on c.relnamespace = n.oid
inner join pg_class as t
    on i.indrelid in (t.oid, t.reltoastrelid) and t.oid = any(%(oids)s::bigint []::oid [])
where not i.indisvalid and c.relname ~ '_cc(new|old)[0-9]*$'
