-- Hold the fence and set the limits of a group of statements, both until its transaction ends. Where
-- another run took over this fails, so that nothing sent together with it is run: the text that is
-- no number says why, and clock_timestamp() keeps the planner from evaluating it beforehand.
-- Locks: the fence's row FOR SHARE. Called by: engine/exclusive.py.
select
    set_config('lock_timeout', %(lock_ms)s, true) as lock_timeout,
    set_config('statement_timeout', %(statement_ms)s, true) as statement_timeout,
    case
        when not exists (
            select
            from pgstrata.fence as f
            where f.object = %(object)s and f.token = %(token)s and f.nonce = %(nonce)s::uuid
            for share
        )
            then (%(lost)s || clock_timestamp())::integer
    end as held
