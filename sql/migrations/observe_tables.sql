-- The relations that statements name: where they are, and whether this role may alter them.
-- Locks: none, not even for a size: a look must not wait for a stopped run that has a table locked,
-- or nobody would come to end it. Called by: migrations/observe.py.
select
    w.position::int as position,
    n.nspname::text as schema,
    c.relname::text as name,
    pg_has_role(c.relowner, 'USAGE') as owns,
    pg_get_userbyid(c.relowner)::text as owner
from unnest(%(names)s::text []) with ordinality as w (name, position)
inner join pg_class as c on c.oid = to_regclass(w.name)
inner join pg_namespace as n on c.relnamespace = n.oid
