-- Write down that phases of versions are complete, each with the time that its steps took, and that
-- an approval was carried out with them. Called by: migrations/journal.py.
with consumed as (
    update pgstrata.approval
    set consumed_at = clock_timestamp()
    where object = %(object)s and hash = %(consumes)s
)

insert into pgstrata.version (object, version, phase, name, duration_ms)
select
    %(object)s,
    mark.version,
    mark.phase,
    mark.name,
    coalesce(
        (
            select sum(extract(epoch from s.finished_at - s.started_at) * 1000)
            from pgstrata.step as s
            where
                s.object = %(object)s
                and s.version = mark.version
                and s.phase = mark.phase
                and s.finished_at is not null
        ),
        0
    )::bigint
from
    unnest(%(done_versions)s::text [], %(done_phases)s::text [], %(done_names)s::text [])
        as mark (version, phase, name)
