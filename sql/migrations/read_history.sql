-- Phases of versions in the order in which they were completed, with the rows that their backfills
-- changed. Locks: none. Called by: cli/history.py.
select
    v.version,
    v.phase,
    v.name,
    v.completed_at,
    v.duration_ms,
    v.is_baseline,
    (
        select sum(s.rows)::bigint
        from pgstrata.step as s
        where s.object = v.object and s.version = v.version and s.phase = v.phase
    ) as rows
from pgstrata.version as v
where v.object = %(object)s
order by v.completed_at, v.version
