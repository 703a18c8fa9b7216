-- Write down that versions count as applied which the schema had before pgstrata came.
-- Called by: migrations/baseline.py, behind the fence.
with files as (
    insert into pgstrata.file (object, version, file, phase, checksum, text, is_baseline)
    select %(object)s, f.version, f.file, f.phase, f.checksum, f.text, true
    from
        unnest(
            %(file_versions)s::text [],
            %(files)s::text [],
            %(file_phases)s::text [],
            %(checksums)s::text [],
            %(texts)s::text []
        ) as f (version, file, phase, checksum, text)
)

insert into pgstrata.version (object, version, phase, name, duration_ms, is_baseline)
select %(object)s, mark.version, mark.phase, mark.name, 0, true
from
    unnest(%(versions)s::text [], %(phases)s::text [], %(names)s::text [])
        as mark (version, phase, name)
