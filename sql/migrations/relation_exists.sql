-- Whether a name means a relation under this session's search_path. Locks: none.
-- Called by: migrations/alone_step.py.
select to_regclass(%(name)s) is not null as found
