-- How fast this server has gone over tables for work of one kind: bytes a second of the newest 20
-- steps that were large enough to tell. Locks: none. Called by: engine/estimate.py.
select sum(t.bytes)::float8 / greatest(sum(t.seconds), 0.001) as rate
from (
    select s.bytes, extract(epoch from s.finished_at - s.started_at)::float8 as seconds
    from pgstrata.step as s
    where
        s.work = %(work)s and s.state = 'Applied' and s.bytes > 1048576
        and s.finished_at > s.started_at
    order by s.finished_at desc
    limit 20
) as t
having count(*) > 0
