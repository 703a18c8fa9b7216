-- Steps of a schema in the order in which they were applied. Locks: none. Called by: cli/status.py.
select
    s.version,
    s.phase,
    s.title,
    s.state,
    s.started_at,
    (extract(epoch from s.finished_at - s.started_at) * 1000)::float8 as duration_ms
from pgstrata.step as s
where s.object = %(object)s
order by s.started_at, s.id
