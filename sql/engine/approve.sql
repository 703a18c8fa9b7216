-- Agree to a hash that is waited for; no row: it is not. Called by: engine/approvals.py.
update pgstrata.approval
set approved_at = clock_timestamp(), approved_by = %(by)s
where object = %(object)s and hash = %(hash)s and consumed_at is null and approved_at is null
