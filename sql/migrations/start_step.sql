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
    error = null
where s.state <> 'Applied'
