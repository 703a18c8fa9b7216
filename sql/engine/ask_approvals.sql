-- Write down which hashes are waited for now; those that nobody has agreed to and that are waited
-- for no more are forgotten. Called by: engine/approvals.py.
with stale as (
    delete from pgstrata.approval as a
    where
        a.object = %(object)s
        and a.approved_at is null
        and a.hash <> all(%(hashes)s::text [])
)

insert into pgstrata.approval (object, hash, what)
select %(object)s, w.hash, w.what
from unnest(%(hashes)s::text [], %(whats)s::text []) as w (hash, what)
on conflict (object, hash) do nothing
