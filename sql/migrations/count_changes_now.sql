-- Have this session's own counts of changed rows told to all as soon as it is idle, not within
-- seconds. Locks: none. Called by: migrations/backfill/neighbours.py.
select pg_stat_force_next_flush()
