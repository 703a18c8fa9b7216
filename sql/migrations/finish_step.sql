-- Write down that a step was applied. One that is applied already is refused (its state would be
-- NULL), and with it the transaction that did it a second time.
-- In a transaction of statements now() is when it began. Called by: migrations/journal.py.
insert into pgstrata.step as s
(
    object, id, version, phase, file, first_statement, title, checksums, state, token,
    started_at, finished_at
)
values
(
    %(object)s, %(id)s, %(version)s, %(phase)s, %(file)s, %(first_statement)s, %(title)s,
    %(checksums)s, 'Applied', %(token)s, now(), clock_timestamp()
)
on conflict (object, id) do update
set
    state = case when s.state <> 'Applied' then 'Applied' end,
    checksums = excluded.checksums,
    title = excluded.title,
    token = excluded.token,
    leftover = null,
    finished_at = excluded.finished_at
