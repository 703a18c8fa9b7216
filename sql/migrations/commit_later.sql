-- Let this transaction's commit not wait for the disk, nor for replicas: what a crash of the server
-- loses of it is rows and cursor together, and is done again. What is committed after it in the
-- usual way makes it durable too. Locks: none. Called by: migrations/backfill/batches.py.
select set_config('synchronous_commit', 'off', true)
