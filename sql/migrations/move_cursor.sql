-- Write down that a batch is done, in its own transaction. Called by: migrations/backfill/batches.py.
update pgstrata.cursor
set
    position = %(position)s,
    rows = rows + %(changed)s,
    pass_rows = pass_rows + %(changed)s,
    moved_at = clock_timestamp()
where object = %(object)s and id = %(id)s
