-- Columns that are NOT NULL already, or that a valid CHECK proves to hold no NULL: by which
-- constraint, or null for what holds without. Locks: none. Called by: migrations/not_null.py.
select w.position::int as position, proof.name
from unnest(%(tables)s::text [], %(columns)s::text []) with ordinality as w (
    table_name, name, position
)
inner join pg_attribute as a on a.attrelid = to_regclass(w.table_name) and w.name = a.attname
cross join lateral (
    select null::text as name
    where
        a.attnotnull
        and not exists (
            select 1
            from pg_constraint as n
            where
                n.conrelid = a.attrelid
                and n.contype = 'n'
                and not n.convalidated
                and n.conkey = array[a.attnum]
        )
    union all
    select c.conname::text
    from pg_constraint as c
    where
        c.conrelid = a.attrelid
        and c.contype = 'c'
        and c.convalidated
        and c.conkey = array[a.attnum]
        and pg_get_expr(c.conbin, c.conrelid) = '(' || quote_ident(a.attname) || ' IS NOT NULL)'
        and not (
            c.connoinherit
            and exists (select 1 from pg_inherits as i where i.inhparent = a.attrelid)
        )
) as proof
