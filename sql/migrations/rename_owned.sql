-- Give kept triggers to the steps that their statements are now. Called by:
-- migrations/backfill/cursor.py, behind the fence.
update pgstrata.owned as o
set step = renamed.new
from unnest(%(old)s::text [], %(new)s::text []) as renamed (old, new)
where o.object = %(object)s and o.step = renamed.old
