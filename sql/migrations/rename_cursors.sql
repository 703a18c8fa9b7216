-- Give cursors to the steps that their statements are now. Called by:
-- migrations/backfill/cursor.py, behind the fence.
update pgstrata.cursor as c
set id = renamed.new
from unnest(%(old)s::text [], %(new)s::text []) as renamed (old, new)
where c.object = %(object)s and c.id = renamed.old
