-- Steps of files that are under way, in order. Locks: none. Called by: migrations/journal.py.
select s.id, s.version, s.file, s.first_statement, s.checksums, s.state
from pgstrata.step as s
where
    s.object = %(object)s
    and not exists (
        select 1
        from pgstrata.file as f
        where f.object = s.object and f.version = s.version and f.file = s.file
    )
order by s.version, s.file, s.first_statement
