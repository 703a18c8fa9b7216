-- Write down that phases of versions are complete in which there was nothing to run.
-- Called by: migrations/journal.py.
insert into pgstrata.version (object, version, phase, name, duration_ms)
select %(object)s, mark.version, mark.phase, mark.name, 0
from
    unnest(%(done_versions)s::text [], %(done_phases)s::text [], %(done_names)s::text [])
        as mark (version, phase, name)
