-- Forget a step that was started and given up, once nothing of it is left.
-- Called by: engine/remains.py.
delete from pgstrata.step
where object = %(object)s and id = %(id)s and state = 'Started'
