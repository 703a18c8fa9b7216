-- The key columns of indexes, by their tables and names; null for an expression. Locks: none.
-- Called by: migrations/not_null.py.
select
    w.position::int as position,
    array(
        select a.attname::text
        from unnest(i.indkey::int2 []) with ordinality as k (attnum, number)
        left join pg_attribute as a on a.attrelid = i.indrelid and k.attnum = a.attnum
        where k.number <= i.indnkeyatts
        order by k.number
    ) as columns
from unnest(%(tables)s::text [], %(indexes)s::text []) with ordinality as w (
    table_name, name, position
)
inner join pg_index as i on i.indrelid = to_regclass(w.table_name)
inner join pg_class as c on i.indexrelid = c.oid and w.name = c.relname
