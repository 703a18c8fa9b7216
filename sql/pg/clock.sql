-- The database's own clock, which all comparisons of times use. Locks: none.
-- Called by: pg/clock.py.
select clock_timestamp() as now
