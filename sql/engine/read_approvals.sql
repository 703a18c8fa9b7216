-- What was asked to be approved for an object, and what became of it, newest first. Locks: none.
-- Called by: engine/approvals.py.
select object, hash, what, asked_at, approved_at, approved_by, consumed_at
from pgstrata.approval
where object = %(object)s
order by asked_at desc, hash
