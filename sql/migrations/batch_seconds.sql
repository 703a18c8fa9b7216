-- How long the server has worked on this transaction, without the way to it and back. Locks: none.
-- Called by: migrations/backfill/batches.py.
select extract(epoch from clock_timestamp() - transaction_timestamp())::float8 as seconds
