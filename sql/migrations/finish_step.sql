-- Write down that a step was applied, the file where that is whole now, and the phases of versions
-- that are complete with it, each with the time that its steps took. In one statement, since a
-- migration of many small files is mostly this.
-- A step that is applied already is refused (its state would be NULL), and with it the transaction
-- that did it a second time. The approval that is carried out with it is consumed.
-- In a transaction of statements now() is when it began.
-- Called by: migrations/journal.py.
with step as (
    insert into pgstrata.step as s
    (
        object, id, version, phase, file, first_statement, title, checksums, state, token,
        started_at, finished_at, rows, work, bytes
    )
    values
    (
        %(object)s, %(id)s, %(version)s, %(phase)s, %(file)s, %(first_statement)s, %(title)s,
        %(checksums)s, 'Applied', %(token)s, now(), clock_timestamp(), %(rows)s, %(work)s,
        case
            when %(work)s::text is not null
                then (
                    select
                        sum(
                            coalesce(
                                (
                                    select sum(pg_table_size(p.relid))
                                    from pg_partition_tree(to_regclass(t.name)) as p
                                ),
                                pg_table_size(to_regclass(t.name))
                            )
                        )
                    from unnest(%(work_tables)s::text []) as t (name)
                )
        end
    )
    on conflict (object, id) do update
    set
        state = case when s.state <> 'Applied' then 'Applied' end,
        checksums = excluded.checksums,
        title = excluded.title,
        token = excluded.token,
        leftover = null,
        finished_at = excluded.finished_at,
        rows = excluded.rows,
        work = excluded.work,
        bytes = excluded.bytes
    returning s.object, s.id, s.version, s.phase, s.started_at, s.finished_at
),

consumed as (
    update pgstrata.approval
    set consumed_at = clock_timestamp()
    where object = %(object)s and hash = %(consumes)s
),

file as (
    insert into pgstrata.file (object, version, file, phase, checksum, text)
    select %(object)s, %(version)s, %(file)s, %(phase)s, %(checksum)s, %(text)s
    where %(completes_file)s
)

insert into pgstrata.version (object, version, phase, name, duration_ms)
select
    %(object)s,
    mark.version,
    mark.phase,
    mark.name,
    coalesce(
        (
            select sum(extract(epoch from taken.finished_at - taken.started_at) * 1000)
            from (
                select step.version, step.phase, step.started_at, step.finished_at from step
                union all
                select s.version, s.phase, s.started_at, s.finished_at
                from pgstrata.step as s
                where s.object = %(object)s and s.id <> %(id)s
            ) as taken
            where
                taken.version = mark.version
                and taken.phase = mark.phase
                and taken.finished_at is not null
        ),
        0
    )::bigint
from
    unnest(%(done_versions)s::text [], %(done_phases)s::text [], %(done_names)s::text [])
        as mark (version, phase, name)
