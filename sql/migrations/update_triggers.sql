-- The first trigger of a table, or of its partitions, that runs behind an UPDATE or for a statement,
-- those of foreign keys and ours left out. Locks: none. Called by: migrations/backfill/reads.py.
select min(t.tgname::text) as after
from pg_trigger as t
inner join pg_proc as p on t.tgfoid = p.oid
where
    (
        t.tgrelid = %(oid)s::bigint::oid
        or t.tgrelid in (select p.relid from pg_partition_tree(%(oid)s::bigint::oid) as p)
    )
    and not t.tgisinternal
    and t.tgenabled <> 'D'
    and t.tgtype & 16 <> 0 -- update
    and t.tgtype & 3 <> 3 -- not row level and before
    and p.pronamespace is distinct from to_regnamespace('pgstrata')::oid
