-- Write down why a statement failed that may have committed part of its work before.
-- Called by: migrations/journal.py, behind the fence.
update pgstrata.step
set state = 'Failed', error = %(error)s
where object = %(object)s and id = %(id)s and state = 'Started'
