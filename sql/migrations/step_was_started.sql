-- Whether a step outside a transaction had begun before. Locks: none.
-- Called by: migrations/alone_step.py.
select exists (
    select 1 from pgstrata.step where object = %(object)s and id = %(id)s and state = 'Started'
) as started
