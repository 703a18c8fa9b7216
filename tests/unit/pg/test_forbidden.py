"""What a migration must not have, and the settings that are told apart for it."""

import pytest

from pgstrata.pg.classify import Setting, classify


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("SET ROLE x", "role"),
        ("SET LOCAL ROLE x", "role"),
        ("RESET ROLE", "role"),
        ("SET SESSION AUTHORIZATION x", "role"),
        ("SET SESSION AUTHORIZATION DEFAULT", "role"),
        ("SET lock_timeout = 0", "lock_timeout"),
        ("SET LOCAL lock_timeout TO '1s'", "lock_timeout"),
        ('SET "Statement_Timeout" = 0', "statement_timeout"),
        ("RESET statement_timeout", "statement_timeout"),
        ("RESET ALL", "resets"),
        ("DISCARD ALL", "resets"),
        ("SET application_name = 'x'", "fences"),
        ("SELECT set_config('lock_timeout', '0', false)", "lock_timeout"),
        ("SELECT pg_catalog.set_config('role'::text, 'x', true), 1", "role"),
        ("INSERT INTO t SELECT set_config('Role', 'x', true)", "role"),
        ("SELECT pg_advisory_unlock_all()", "advisory lock"),
        ("SELECT pg_advisory_unlock(1) FROM t", "advisory lock"),
        ("ROLLBACK", "undoes"),
        ("SAVEPOINT x", "undo"),
        ("RELEASE x", "undo"),
        ("ROLLBACK TO SAVEPOINT x", "undo"),
        ("DELETE FROM pgstrata.fence", "control schema"),
        ("WITH w AS (UPDATE pgstrata.step SET state = 'Applied') SELECT 1", "control schema"),
        ("SELECT 1 FROM pgstrata.fence FOR UPDATE", "control schema"),
        ("COPY pgstrata.step FROM STDIN", "control schema"),
        ("TRUNCATE t, pgstrata.step", "control schema"),
        ("DROP TABLE IF EXISTS pgstrata.step", "control schema"),
        ("ALTER TABLE pgstrata.step ADD c int", "control schema"),
        ("CREATE TABLE pgstrata.t (a int)", "control schema"),
        ("CREATE INDEX ON pgstrata.step (id)", "control schema"),
        ("DROP SCHEMA s, pgstrata CASCADE", "control schema"),
        ("CREATE SCHEMA pgstrata", "control schema"),
        ("ALTER SCHEMA pgstrata RENAME TO x", "control schema"),
        ("ALTER TABLE t SET SCHEMA pgstrata", "control schema"),
        ("SET search_path = pgstrata", "search_path"),
        ("SET LOCAL search_path TO app, 'pgstrata'", "search_path"),
        ("SET SCHEMA 'pgstrata'", "search_path"),
        ("SELECT set_config('search_path', 'a, pgstrata', true)", "search_path"),
        ("INSERT INTO t SELECT set_config('search_path', 'pgstrata', true)", "search_path"),
        ("COMMIT AND CHAIN", "CHAIN"),
        ("ROLLBACK AND CHAIN", "undoes"),
        ("PREPARE TRANSACTION 'x'", "prepared"),
        ("COMMIT PREPARED 'x'", "prepared"),
    ],
)
def test_what_a_migration_must_not_have_says_why(statement: str, part: str) -> None:
    assert part in (classify(statement).forbidden or "")


@pytest.mark.parametrize(
    "statement",
    [
        "SET search_path = a, public",
        'SET search_path = pgstrata_app, "$user"',
        "SET a.b = 1.5",
        "SELECT set_config('search_path', 'pgstrata_app', true)",
        "SET TIME ZONE 'UTC'",
        "SET CONSTRAINTS ALL DEFERRED",
        "COMMIT",
        "ALTER ROLE x SET lock_timeout = 0",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET lock_timeout = 0 AS 'select 1'",
        "SELECT pg_advisory_xact_lock(1)",
        "SELECT set_config('a.b', 'lock_timeout', false)",
        "DISCARD PLANS",
        "INSERT INTO t SELECT at FROM pgstrata.step",
        "GRANT USAGE ON SCHEMA pgstrata TO r",
        "GRANT SELECT ON pgstrata.step TO r",
        "SELECT pgstrata.try_bigint('1')",
        "CREATE SCHEMA pgstrata_app",
    ],
)
def test_what_is_harmless_is_not_forbidden(statement: str) -> None:
    assert classify(statement).forbidden is None


@pytest.mark.parametrize(
    ("statement", "setting"),
    [
        ("SET search_path = a", Setting("search_path", is_local=False)),
        ("SET LOCAL Search_Path TO a", Setting("search_path", is_local=True)),
        ("SET TIME ZONE 'UTC'", Setting("timezone", is_local=False)),
        ("RESET search_path", Setting("search_path", is_local=False)),
        ("SET TRANSACTION READ ONLY", Setting("transaction", is_local=True)),
        ("SELECT set_config('search_path', '', true)", Setting("search_path", is_local=True)),
        ("SELECT set_config('search_path', '', false)", Setting("search_path", is_local=False)),
        ("SELECT set_config('search_path', a, false) FROM t", None),
        ("SELECT set_config(a, '', false)", None),
        ("SELECT 1", None),
    ],
)
def test_a_setting_is_named(statement: str, setting: Setting | None) -> None:
    assert classify(statement).setting == setting
