-- Forget what was made, in the transaction that removes it. Called by: engine/owned.py.
delete from pgstrata.owned
where kind = 'trigger' and name = %(name)s
