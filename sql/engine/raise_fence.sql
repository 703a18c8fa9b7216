-- Make this run the only one that may write for the object. The nonce tells two runs apart that a
-- fail-over to an asynchronous standby gave the same number. Locks: the fence's row, which every
-- journalled transaction of an older run holds FOR SHARE. Called by: engine/exclusive.py.
insert into pgstrata.fence as f (object, token, nonce, holder)
values (%(object)s, 1, gen_random_uuid(), %(holder)s)
on conflict (object) do update
set
    token = f.token + 1,
    nonce = gen_random_uuid(),
    holder = excluded.holder,
    raised_at = clock_timestamp()
returning token, nonce::text as nonce
