-- What the control schema remembers, and what the server is now.
-- Locks: none beyond the catalog's. Called by: engine/control.py, once the table is known to exist.
select
    c.version,
    c.min_reader,
    c.system_identifier as remembered_system,
    c.database as remembered_database,
    c.timeline as remembered_timeline,
    (select system_identifier::text from pg_control_system()) as system_identifier,
    current_database()::text as database,
    (select timeline_id from pg_control_checkpoint()) as timeline
from pgstrata.control as c
