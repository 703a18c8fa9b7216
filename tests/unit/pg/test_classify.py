"""What the text of a statement tells, for every kind of statement that migrations are cut by.

Locks are those of lock_cases.py, rewrites and scans those of work_cases.py: a real server is asked
about both too.
"""

import pytest

from pgstrata.pg.classify import (
    Classification,
    IndexBuild,
    LockMode,
    RelationRef,
    StatementKind,
    classify,
)
from pgstrata.pg.lock_modes import TableLock, strongest_locks
from tests.unit.pg.lock_cases import IN_TRANSACTIONS, OUTSIDE_TRANSACTIONS, LockCase
from tests.unit.pg.work_cases import WORK, WorkCase

K = StatementKind


def printed(known: Classification) -> str:
    return ", ".join(
        f"{'index ' * lock.is_index}{'type ' * (not lock.is_on_relation)}{lock.table} "
        f"{lock.mode.sql}"
        for lock in known.locks
    )


@pytest.mark.parametrize(
    "case", [*IN_TRANSACTIONS, *OUTSIDE_TRANSACTIONS], ids=lambda case: case.statement
)
def test_locks_are_read_from_the_text(case: LockCase) -> None:
    assert printed(classify(case.statement)) == case.locks


@pytest.mark.parametrize("case", WORK, ids=lambda case: case.statement)
def test_rewrites_and_scans_are_read_from_the_text(case: WorkCase) -> None:
    known = classify(case.statement)
    assert (known.rewrites, known.scans) == (case.rewrites, case.scans)


@pytest.mark.parametrize(
    ("statement", "rewrites", "scans"),
    [
        ("VACUUM FULL t", True, False),
        ("VACUUM t", False, False),
        ("REFRESH MATERIALIZED VIEW m", True, False),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", False, False),
        ("ALTER TABLE t SET TABLESPACE x", True, False),
        ("ALTER TABLE t SET LOGGED", True, False),
        ("ALTER TABLE ALL IN TABLESPACE a SET TABLESPACE b", True, False),
        ("ALTER TABLE p ATTACH PARTITION a FOR VALUES IN (1)", False, True),
        ("CREATE INDEX i ON ONLY p (a)", False, False),
        ("REINDEX SCHEMA s", False, True),
    ],
)
def test_work_that_no_transaction_can_show(statement: str, rewrites: bool, scans: bool) -> None:
    known = classify(statement)
    assert (known.rewrites, known.scans) == (rewrites, scans)


@pytest.mark.parametrize("case", OUTSIDE_TRANSACTIONS, ids=lambda case: case.statement)
def test_what_a_server_refuses_in_a_transaction_is_a_step_of_its_own(case: LockCase) -> None:
    known = classify(case.statement)
    assert not known.is_transactional
    assert known.is_own_step


@pytest.mark.parametrize(
    ("statement", "kind", "is_own_step"),
    [
        ("CREATE INDEX i ON t (a)", K.CREATE_INDEX, True),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", K.CREATE_INDEX_CONCURRENTLY, True),
        ("DROP INDEX CONCURRENTLY i", K.DROP_INDEX_CONCURRENTLY, True),
        ("DROP INDEX i", K.DDL, False),
        ("REINDEX TABLE t", K.REINDEX, True),
        ("REINDEX SCHEMA s", K.REINDEX, True),
        ("REINDEX INDEX CONCURRENTLY i", K.REINDEX_CONCURRENTLY, True),
        ("REINDEX (CONCURRENTLY off) INDEX i", K.REINDEX, True),
        ("ALTER TABLE p DETACH PARTITION a CONCURRENTLY", K.DETACH_CONCURRENTLY, True),
        ("ALTER TABLE p DETACH PARTITION a", K.DDL, False),
        ("ALTER TABLE p DETACH PARTITION a FINALIZE", K.DDL, False),
        ("REFRESH MATERIALIZED VIEW m", K.REFRESH, True),
        ("REFRESH MATERIALIZED VIEW CONCURRENTLY m", K.REFRESH_CONCURRENTLY, True),
        ("ALTER TABLE t VALIDATE CONSTRAINT c", K.VALIDATE_CONSTRAINT, True),
        ("ALTER TABLE t VALIDATE CONSTRAINT c, ADD COLUMN b int", K.DDL, False),
        ("ALTER TYPE e ADD VALUE IF NOT EXISTS 'x' BEFORE 'y'", K.ADD_ENUM_VALUE, True),
        ("ALTER TYPE e RENAME VALUE 'x' TO 'y'", K.DDL, False),
        ("BEGIN", K.TRANSACTION_BEGIN, False),
        ("START TRANSACTION", K.TRANSACTION_BEGIN, False),
        ("COMMIT", K.TRANSACTION_COMMIT, False),
        ("END", K.TRANSACTION_COMMIT, False),
        ("ABORT", K.TRANSACTION_ROLLBACK, False),
        ("SAVEPOINT x", K.SAVEPOINT, False),
        ("RELEASE x", K.RELEASE_SAVEPOINT, False),
        ("ROLLBACK TO x", K.ROLLBACK_TO_SAVEPOINT, False),
        ("PREPARE TRANSACTION 'x'", K.TRANSACTION_PREPARED, True),
        ("SET search_path = a", K.SET, False),
        ("SELECT pg_catalog.set_config('search_path', '', false)", K.SET, False),
        ("RESET search_path", K.RESET, False),
        ("VACUUM", K.VACUUM, True),
        ("ANALYZE", K.ANALYZE, False),
        ("CLUSTER", K.CLUSTER, True),
        ("CREATE DATABASE d", K.NON_TRANSACTIONAL, True),
        ("ALTER DATABASE d SET TABLESPACE x", K.NON_TRANSACTIONAL, True),
        ("ALTER DATABASE d CONNECTION LIMIT 5", K.DDL, False),
        ("ALTER DATABASE d SET work_mem = '1MB'", K.DDL, False),
        ("CREATE TABLESPACE x LOCATION '/x'", K.NON_TRANSACTIONAL, True),
        ("DROP TABLESPACE x", K.NON_TRANSACTIONAL, True),
        ("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", K.NON_TRANSACTIONAL, True),
        ("ALTER SUBSCRIPTION s REFRESH PUBLICATION", K.NON_TRANSACTIONAL, True),
        ("DROP SUBSCRIPTION s", K.NON_TRANSACTIONAL, True),
        ("ALTER SYSTEM SET work_mem = '1MB'", K.NON_TRANSACTIONAL, True),
        ("CREATE EXTENSION pg_trgm", K.DDL, False),
        ("CREATE TYPE e AS ENUM ('a')", K.DDL, False),
        ("CREATE ROLE r", K.DDL, False),
        ("SELECT * INTO z FROM t", K.DDL, False),
        ("INSERT INTO t VALUES (1)", K.DML, False),
        ("EXPLAIN ANALYZE UPDATE t SET a = 1", K.DML, False),
        ("EXPLAIN UPDATE t SET a = 1", K.QUERY, False),
        ("SELECT set_config('a.b', '', false), 1 FROM t", K.QUERY, False),
        ("SELECT set_config('a.b', '', false), 1", K.QUERY, False),
        ("VALUES (1)", K.QUERY, False),
        ("COPY t FROM STDIN", K.COPY_IN, False),
        ("COPY t FROM PROGRAM 'cat'", K.DML, False),
        ("COPY t TO STDOUT", K.COPY_OUT, False),
        ("DO $$ begin end $$", K.DO_BLOCK, False),
        ("CALL p()", K.CALL, True),
        ("LISTEN x", K.SESSION, False),
        ("EXECUTE x", K.SESSION, False),
        ("DISCARD TEMP", K.SESSION, False),
        ("SHOW work_mem", K.SESSION, False),
        ("REPACK (CONCURRENTLY) t", K.UNKNOWN, True),
        ("", K.UNKNOWN, True),
    ],
)
def test_a_statement_has_a_kind(statement: str, kind: StatementKind, is_own_step: bool) -> None:
    known = classify(statement)
    assert (known.kind, known.is_own_step) == (kind, is_own_step)


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE t",
        "DROP TABLE IF EXISTS a.t, u",
        "DROP FOREIGN TABLE f",
        "DROP SCHEMA s",
        "DROP TYPE e",
        "DROP DOMAIN d",
        "DROP SEQUENCE q",
        "DROP MATERIALIZED VIEW m",
        "DROP EXTENSION x",
        "DROP OWNED BY r",
        "DROP DATABASE d",
        "DROP FUNCTION f() CASCADE",
        "DROP VIEW v CASCADE",
        "DROP OPERATOR CLASS o USING btree CASCADE",
        "ALTER TABLE t DROP CONSTRAINT c CASCADE",
        "DO $$ begin drop view v, w cascade; end $$",
        "DO $$ begin execute 'drop function f() CASCADE'; end $$",
        "DO $$ begin alter table t drop legacy; end $$",
        "DO $$ begin alter table t drop constraint c, drop if exists legacy; end $$",
        "DO $$ begin alter type pair drop attribute l; end $$",
        "DO $$ begin delete /* all */ from t; end $$",
        "DO $$ begin execute format('alter table %I drop %I', 't', 'c'); end $$",
        "DO $$ begin merge into t using u on true when matched then delete; end $$",
        "ALTER TABLE t DROP COLUMN a",
        "ALTER TABLE t ADD COLUMN b int, DROP a CASCADE",
        "ALTER TYPE pair DROP ATTRIBUTE l",
        "TRUNCATE t",
        "DELETE FROM t",
        "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
        "WITH d AS (DELETE FROM t RETURNING *) INSERT INTO u SELECT * FROM d",
        "MERGE INTO t USING u ON true WHEN NOT MATCHED THEN DO NOTHING WHEN MATCHED THEN DELETE",
        "EXPLAIN (ANALYZE) DELETE FROM t",
        "what no parser knows",
    ],
)
def test_what_destroys_is_known(statement: str) -> None:
    assert classify(statement).is_destructive


@pytest.mark.parametrize(
    "statement",
    [
        "DROP VIEW v",
        "DO $$ begin drop trigger x on t cascade; drop view v; end $$",
        "DO $$ begin alter table t drop constraint c, alter a drop default; end $$",
        "DO $$ begin alter table t alter a drop not null; drop index i; end $$",
        "DROP INDEX i",
        "DROP INDEX i CASCADE",
        "DROP INDEX CONCURRENTLY i",
        "DROP TRIGGER x ON t",
        "DROP POLICY x ON t CASCADE",
        "DROP FUNCTION f()",
        "ALTER TABLE t DROP CONSTRAINT c",
        "ALTER TABLE t ALTER a DROP NOT NULL",
        "MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET a = 1",
        "UPDATE t SET a = NULL",
        "EXPLAIN DELETE FROM t",
        "DROP ROLE r",
        "CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING",
    ],
)
def test_what_loses_no_data_is_not_called_destructive(statement: str) -> None:
    assert not classify(statement).is_destructive


@pytest.mark.parametrize(
    ("statement", "creates"),
    [
        ("CREATE TABLE a.t (id int)", ["a.t"]),
        ("CREATE TABLE IF NOT EXISTS t (id int)", []),
        ("CREATE TABLE t AS SELECT 1", ["t"]),
        ("SELECT 1 INTO t", ["t"]),
        ("CREATE FOREIGN TABLE t (id int) SERVER s", ["t"]),
        ("CREATE VIEW v AS SELECT 1", ["v"]),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", []),
        ("CREATE MATERIALIZED VIEW s.m AS SELECT 1", ["s.m"]),
        ("CREATE INDEX i ON s.t (a)", ["s.i"]),
        ("CREATE INDEX ON s.t (a)", []),
        ("CREATE INDEX IF NOT EXISTS i ON s.t (a)", []),
        ("CREATE SCHEMA s CREATE TABLE t () CREATE VIEW x.v AS SELECT 1", ["s.t", "x.v"]),
        ("ALTER TABLE t ADD COLUMN b int", []),
    ],
)
def test_what_certainly_did_not_exist_before_is_listed(statement: str, creates: list[str]) -> None:
    assert [str(ref) for ref in classify(statement).creates] == creates


def test_an_index_build_is_described_as_it_is_written() -> None:
    statement = 'CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS "I.x" ON ONLY s."T" (a)'
    table = RelationRef("s", "T")
    assert classify(statement).index == IndexBuild(
        "I.x", table, is_unique=True, is_concurrent=True, if_not_exists=True, on_only=True
    )
    assert classify("CREATE INDEX ON t (a)").index == IndexBuild(
        None,
        RelationRef(None, "t"),
        is_unique=False,
        is_concurrent=False,
        if_not_exists=False,
        on_only=False,
    )
    assert classify("CREATE TABLE t ()").index is None


@pytest.mark.parametrize(
    ("statement", "part"),
    [
        ("DO $$ begin end $$", "locks not known: opaque block"),
        ("CALL p()", "locks not known"),
        ("DROP TABLE t CASCADE", "CASCADE drops all that depends"),
        ("DROP TABLE t", "foreign keys"),
        ("ALTER TABLE t DROP CONSTRAINT c", "foreign key"),
        ("CREATE INDEX IF NOT EXISTS i ON t (a)", "IF NOT EXISTS"),
        ("CREATE TABLE IF NOT EXISTS t ()", "IF NOT EXISTS"),
        ("CREATE INDEX i ON t (a)", "writers wait"),
        ("ALTER TABLE t ADD CHECK (a > 0)", "scans the table under ACCESS EXCLUSIVE"),
        ("ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u", "writers of it and of u wait"),
        ("ALTER TABLE t ADD COLUMN z uuid DEFAULT gen_random_uuid()", "volatile default"),
        ("ALTER TABLE t ADD COLUMN z int DEFAULT mine(1)", "if mine() is volatile"),
        ("CREATE TABLE z PARTITION OF p DEFAULT", "attach a table made beforehand"),
        ("ALTER SYSTEM SET work_mem = 1", "whole server"),
        ("VACUUM", "every table"),
        ("gibberish", 'syntax error at or near "gibberish"'),
    ],
)
def test_a_hazard_is_said_in_a_sentence(statement: str, part: str) -> None:
    assert any(part in hazard for hazard in classify(statement).hazards)


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE t ADD COLUMN a int NOT NULL DEFAULT 1",
        "ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES u NOT VALID",
        "CREATE INDEX CONCURRENTLY i ON t (a)",
        "CREATE TABLE t (a int)",
        "UPDATE t SET a = 1",
    ],
)
def test_the_harmless_way_has_no_hazards(statement: str) -> None:
    assert classify(statement).hazards == ()


def test_deep_statements_are_classified_and_deeper_ones_are_unknown() -> None:
    chain = "||".join(["a"] * 4_000)
    assert printed(classify(f"SELECT {chain} FROM t")) == "t ACCESS SHARE"
    unions = " UNION ALL ".join(["SELECT 1 FROM t"] * 3_000)
    assert printed(classify(unions)) == "t ACCESS SHARE"
    assert classify("SELECT " + "||".join(["a"] * 20_000)).kind is K.UNKNOWN


def test_modes_are_in_postgresqls_order_and_spelling() -> None:
    assert [mode.value for mode in LockMode] == list(range(1, 9))
    assert LockMode.SHARE_UPDATE_EXCLUSIVE.sql == "SHARE UPDATE EXCLUSIVE"
    assert LockMode.SHARE_UPDATE_EXCLUSIVE.catalog_name == "ShareUpdateExclusiveLock"
    assert [mode for mode in LockMode if mode.stops_readers] == [LockMode.ACCESS_EXCLUSIVE]
    assert min(mode for mode in LockMode if mode.stops_writers) is LockMode.SHARE


CONFLICTS = {
    LockMode.ACCESS_SHARE: {8},
    LockMode.ROW_SHARE: {7, 8},
    LockMode.ROW_EXCLUSIVE: {5, 6, 7, 8},
    LockMode.SHARE_UPDATE_EXCLUSIVE: {4, 5, 6, 7, 8},
    LockMode.SHARE: {3, 4, 6, 7, 8},
    LockMode.SHARE_ROW_EXCLUSIVE: {3, 4, 5, 6, 7, 8},
    LockMode.EXCLUSIVE: {2, 3, 4, 5, 6, 7, 8},
    LockMode.ACCESS_EXCLUSIVE: {1, 2, 3, 4, 5, 6, 7, 8},
}
"""PostgreSQL's own table, docs: 13.3.1."""


@pytest.mark.parametrize("one", LockMode)
@pytest.mark.parametrize("other", LockMode)
def test_who_holds_the_joined_mode_need_not_wait_for_either(one: LockMode, other: LockMode) -> None:
    joined = one.joined(other)
    needed = CONFLICTS[one] | CONFLICTS[other]
    enough = [mode for mode in LockMode if needed <= CONFLICTS[mode]]
    assert joined is min(enough)
    assert joined.stops_writers is (int(LockMode.ROW_EXCLUSIVE) in CONFLICTS[joined])


def test_one_lock_a_relation_is_left_in_order() -> None:
    t, index = RelationRef(None, "t"), RelationRef(None, "i")
    locks = [
        TableLock(RelationRef("s", "a"), LockMode.SHARE),
        TableLock(t, LockMode.SHARE_UPDATE_EXCLUSIVE),
        TableLock(index, LockMode.SHARE, is_index=True),
        TableLock(t, LockMode.SHARE),
    ]
    assert strongest_locks(locks) == (
        TableLock(index, LockMode.SHARE, is_index=True),
        TableLock(t, LockMode.SHARE_ROW_EXCLUSIVE),
        TableLock(RelationRef("s", "a"), LockMode.SHARE),
    )
