-- Write down what was made in the application's tables, in the transaction that makes it.
-- Called by: migrations/backfill/keep_trigger.py.
insert into pgstrata.owned as o
(kind, name, object, step, version, table_name, purpose, until)
values
(
    'trigger', %(name)s, %(object)s, %(step)s, %(version)s, %(table_name)s, %(purpose)s, 'Contract'
)
on conflict (kind, name) do update
set
    object = excluded.object,
    step = excluded.step,
    version = excluded.version,
    table_name = excluded.table_name,
    purpose = excluded.purpose
