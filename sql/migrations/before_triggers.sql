-- Row triggers of others that may change a row before it is written, with the text that they run.
-- Ours are left out. Locks: none. Called by: migrations/keep_rule.py.
select
    t.tgname::text as name,
    l.lanname::text as language,
    p.prosrc as source
from pg_trigger as t
inner join pg_proc as p on t.tgfoid = p.oid
inner join pg_language as l on p.prolang = l.oid
where
    t.tgrelid = %(oid)s::bigint::oid
    and not t.tgisinternal
    and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3 -- row level, before
    and t.tgtype & 20 <> 0 -- insert or update
    and p.pronamespace is distinct from to_regnamespace('pgstrata')
order by t.tgname
