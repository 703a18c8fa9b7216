-- Write down that a phase of a version is complete; its duration is that of its steps.
-- Called by: migrations/journal.py.
insert into pgstrata.version (object, version, phase, name, duration_ms)
select
    %(object)s,
    %(version)s,
    %(phase)s,
    %(name)s,
    coalesce(
        sum(extract(epoch from s.finished_at - s.started_at) * 1000)
            filter (where s.finished_at is not null),
        0
    )::bigint
from pgstrata.step as s
where s.object = %(object)s and s.version = %(version)s and s.phase = %(phase)s
