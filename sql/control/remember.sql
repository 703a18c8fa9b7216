-- Write down which version is installed and for which server and database.
-- Called by: engine/control.py, in the transaction that installs, upgrades or takes over.
insert into pgstrata.control as c
(version, min_reader, system_identifier, database, timeline)
select
    %(version)s,
    %(min_reader)s,
    (select system_identifier::text from pg_control_system()),
    current_database(),
    (select timeline_id from pg_control_checkpoint())
on conflict (only_row) do update
set
    version = excluded.version,
    min_reader = excluded.min_reader,
    system_identifier = excluded.system_identifier,
    database = excluded.database,
    timeline = excluded.timeline
