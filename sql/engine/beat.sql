-- Say that the working session is alive, as long as its fence stands; no row: it was taken over.
-- Called by: engine/exclusive.py, every 5 s on the monitor connection.
update pgstrata.heartbeat as h
set at = clock_timestamp()
where
    h.object = %(object)s
    and h.pid = %(pid)s
    and exists (
        select 1
        from pgstrata.fence as f
        where f.object = h.object and f.token = %(token)s and f.nonce = %(nonce)s::uuid
    )
