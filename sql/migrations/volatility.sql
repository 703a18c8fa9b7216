-- Which of these functions, by name, may give another result at every call, or depend on the time.
-- A name that stands for several counts as the worst of them. Locks: none.
-- Called by: migrations/backfill/volatility.py.
select
    p.proname::text as name,
    bool_or(p.provolatile = 'v') as is_volatile,
    bool_or(
        p.proname in (
            'now', 'transaction_timestamp', 'statement_timestamp', 'txid_current',
            'pg_current_xact_id', 'pg_current_snapshot', 'pg_backend_pid'
        )
        -- what a STABLE function of somebody's reads may be what is changed
        or (p.provolatile = 's' and p.pronamespace <> 'pg_catalog'::regnamespace)
    ) as is_of_its_time
from pg_proc as p
where p.proname = any(%(names)s::text [])
group by p.proname
