-- Row triggers that may change a row before it is written, with the text that they run and the
-- columns whose UPDATE they are for; those of partitions too. Locks: none. Called by: migrations/backfill/keep_rule.py.
select
    t.tgname::text as name,
    l.lanname::text as language,
    p.prosrc as source,
    p.pronamespace is not distinct from to_regnamespace('pgstrata')::oid as is_ours,
    array(
        select a.attname::text
        from pg_attribute as a
        where a.attrelid = t.tgrelid and a.attnum = any(t.tgattr::smallint [])
    ) as columns
from pg_trigger as t
inner join pg_proc as p on t.tgfoid = p.oid
inner join pg_language as l on p.prolang = l.oid
where
    (
        t.tgrelid = %(oid)s::bigint::oid
        or (
            t.tgparentid = 0 -- else it is the parent's
            and t.tgrelid in (select p.relid from pg_partition_tree(%(oid)s::bigint::oid) as p)
        )
    )
    and not t.tgisinternal
    and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3 -- row level, before
    and t.tgtype & 20 <> 0 -- insert or update
order by t.tgname
