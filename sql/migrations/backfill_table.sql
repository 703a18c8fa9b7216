-- The table that a backfill's statement names: its columns, and the unique key to go by.
-- keys: the columns asked for; empty: the primary key. The key's columns come in the index's order,
-- with their types as a cast can name them, and their collations where not those of the types.
-- Locks: none beyond the catalog's.
-- Called by: migrations/backfill/shape.py.
select
    c.oid::bigint as oid,
    n.nspname::text as schema,
    c.relname::text as name,
    c.relkind::text as relkind,
    c.relkind = 'r' and c.relhassubclass as has_children,
    pg_has_role(c.relowner, 'USAGE') as is_owned,
    pg_get_userbyid(c.relowner)::text as owner,
    row_security_active(c.oid) as hides_rows,
    c.relforcerowsecurity as hides_from_owner,
    (
        select array_agg(a.attname::text order by a.attnum)
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as columns,
    (
        select array_agg(format_type(a.atttypid, a.atttypmod) order by a.attnum)
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
    ) as types,
    coalesce(
        (
            select array_agg(a.attname::text order by a.attnum)
            from pg_attribute as a
            where
                a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated <> ''
        ),
        '{}'
    ) as generated,
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attnotnull
    ) as not_null,
    k.columns as key_columns,
    k.types as key_types
from pg_class as c
inner join pg_namespace as n on c.relnamespace = n.oid
left join lateral (
    select
        array_agg(a.attname::text order by u.position) as columns,
        array_agg(
            format_type(a.atttypid, -1)
            || coalesce(' collate ' || quote_ident(o.nspname) || '.' || quote_ident(l.collname), '')
            order by u.position
        ) as types
    from pg_index as i
    cross join lateral unnest(i.indkey::smallint []) with ordinality as u (attnum, position)
    inner join pg_attribute as a on i.indrelid = a.attrelid and u.attnum = a.attnum
    inner join pg_type as y on a.atttypid = y.oid
    -- a domain's own collation would contradict that of its column
    left join pg_collation as l on a.attcollation = l.oid and a.attcollation <> y.typcollation
    left join pg_namespace as o on l.collnamespace = o.oid
    where
        i.indrelid = c.oid
        and i.indisunique and i.indisvalid and i.indimmediate
        and i.indpred is null and i.indexprs is null
        and u.position <= i.indnkeyatts
        and (i.indisprimary or cardinality(%(keys)s::text []) > 0)
    group by i.indexrelid, i.indrelid, i.indisprimary
    having
        bool_and(a.attnotnull)
        -- PostgreSQL 18 has NOT NULL that is not validated
        and not exists (
            select from pg_constraint as n
            where
                n.conrelid = i.indrelid
                and n.contype = 'n'
                and not n.convalidated
                and n.conkey <@ array_agg(a.attnum)
        )
        and (
            cardinality(%(keys)s::text []) = 0
            or array_agg(a.attname::text order by a.attname::text)
            = (select array_agg(w.name order by w.name) from unnest(%(keys)s::text []) as w (name))
        )
    order by i.indisprimary desc, i.indexrelid
    limit 1
) as k on true
where c.oid = to_regclass(%(name)s)
