-- What waits for approval anywhere in this database, oldest first. Locks: none.
-- Called by: engine/approvals.py.
select object, hash, what, asked_at, approved_at, approved_by, consumed_at
from pgstrata.approval
where approved_at is null and consumed_at is null
order by asked_at, object, hash
