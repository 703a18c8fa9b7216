-- Write down that a step which cannot be in a transaction begins, and what it may leave behind.
-- Called by: migrations/journal.py, behind the fence.
insert into pgstrata.step as s
(object, id, version, phase, file, first_statement, title, checksums, state, token, leftover)
values
(
    %(object)s, %(id)s, %(version)s, %(phase)s, %(file)s, %(first_statement)s, %(title)s,
    %(checksums)s, 'Started', %(token)s, %(leftover)s
)
on conflict (object, id) do update
set
    state = 'Started',
    checksums = excluded.checksums,
    title = excluded.title,
    token = excluded.token,
    leftover = excluded.leftover,
    error = null,
    -- what was tried before does not count, but for the batches of a backfill
    started_at = case
        when exists (
            select from pgstrata.cursor as c
            where c.object = excluded.object and c.id = excluded.id
        ) then s.started_at
        else clock_timestamp()
    end
where s.state <> 'Applied'
