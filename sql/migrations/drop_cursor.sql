-- Forget how far a backfill is, once it is recorded as done. Called by: migrations/backfill/step.py.
delete from pgstrata.cursor
where object = %(object)s and id = %(id)s
