-- Begin a pass of a backfill over its table, from the beginning. Called by:
-- migrations/backfill/cursor.py, behind the fence.
insert into pgstrata.cursor as c
(object, id, checksum, pass, position, upper, filenode, rows, pass_rows, remaining)
values
(
    %(object)s, %(id)s, %(checksum)s, %(pass_)s, null, %(upper)s, %(filenode)s, %(rows)s, 0,
    %(remaining)s
)
on conflict (object, id) do update
set
    checksum = excluded.checksum,
    pass = excluded.pass,
    position = null,
    upper = excluded.upper,
    filenode = excluded.filenode,
    rows = excluded.rows,
    pass_rows = 0,
    remaining = excluded.remaining,
    moved_at = clock_timestamp()
