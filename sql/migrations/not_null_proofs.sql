-- Columns that are NOT NULL already, or that a valid CHECK proves to hold no NULL. Locks: none.
-- Called by: migrations/not_null.py.
select w.position::int as position, w.name
from unnest(%(tables)s::text [], %(columns)s::text []) with ordinality as w (
    table_name, name, position
)
inner join pg_attribute as a on a.attrelid = to_regclass(w.table_name) and w.name = a.attname
where
    a.attnotnull
    or exists (
        select 1
        from pg_constraint as c
        where
            c.conrelid = a.attrelid
            and c.contype = 'c'
            and c.convalidated
            and c.conkey = array[a.attnum]
            and pg_get_expr(c.conbin, c.conrelid) = '(' || quote_ident(a.attname) || ' IS NOT NULL)'
    )
