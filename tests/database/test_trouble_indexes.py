"""Indexes that are built concurrently: waited for, rebuilt, adopted, refused; never INVALID."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared
from tests.testbed.polling import poll

SCHEMA = """
create table t (id int, name text, v int);
insert into t select n, 'n' || n, n % 10 from generate_series(1, 1000) n;
create table other (id int);
"""
FILES = {"1_a.sql": "CREATE INDEX CONCURRENTLY t_id ON t (id);"}
UNIQUE = {"1_a.sql": "CREATE UNIQUE INDEX CONCURRENTLY t_id ON t (id);"}
INVALID = "select count(*) from pg_index where not indisvalid"
VALID = "select 't_id'::regclass::oid, indisvalid from pg_index where indexrelid = 't_id'::regclass"
BUILDING = """
select pid, query_start from pg_stat_activity
where application_name like 'pgstrata:%' and state = 'active'
and query like 'CREATE%INDEX CONCURRENTLY%' and wait_event_type = 'Lock'
"""


@contextmanager
def old_snapshot(database: Database) -> Iterator[psycopg.Connection[TupleRow]]:
    """Hold a snapshot that sees no later row, as a long report does, until the block ends."""
    with database.connect() as session:
        session.execute("set application_name = 'long report'")
        session.execute("begin isolation level repeatable read")
        session.execute("select count(*) from other")
        yield session


def waiting_build(database: Database) -> tuple[int, str]:
    """Wait until our build waits for somebody; return its pid and when it began."""
    row = poll(lambda: database.psql(BUILDING).strip(), 60, "a build that waits")
    pid, started = row.split("|")
    return int(pid), started


def make_invalid(database: Database, statement: str = "create index t_id on t (id)") -> None:
    """Leave what a build that was killed leaves: an INVALID index under the wanted name."""
    database.psql(statement)
    database.psql("update pg_index set indisvalid = false where indexrelid = 't_id'::regclass")


def test_an_old_snapshot_is_waited_for_and_named(pgstrata: CommandLine, database: Database) -> None:
    database.psql(SCHEMA)
    with old_snapshot(database) as session:
        running = pgstrata.start_apply(declared("1", FILES), database.uri, timeout="60s")
        waiting_build(database)
        running.wait_for(
            "building index public.t_id: waiting for old snapshots, waiting for the transaction of "
            f"pid {session.info.backend_pid} (long report)"
        )
        session.execute("commit")
        ended = running.wait()
    assert ended.said()[:2] == (0, "Succeeded")
    assert "progress" not in ended.status()
    assert database.psql(VALID).endswith("|t\n")


def test_a_duplicate_key_is_told_and_leaves_no_index(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    database.psql("insert into t values (7)")
    ended = pgstrata.apply(declared("1", UNIQUE), database.uri)
    assert ended.said() == (
        2,
        "MigrationFailed",
        '1_a.sql:1:1: could not create unique index "t_id" (SQLSTATE 23505); '
        "detail: Key (id)=(7) is duplicated.; nothing of the file's 1 statements stands",
    )
    assert database.psql("select to_regclass('t_id')") == "\n"
    assert database.psql(INVALID) == "0\n"
    database.psql("delete from t where id = 7 and name is null")
    assert pgstrata.apply(declared("1", UNIQUE), database.uri).said()[:2] == (0, "Succeeded")
    assert (
        database.psql("select indisunique from pg_index where indexrelid = 't_id'::regclass")
        == "t\n"
    )


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param("CREATE INDEX CONCURRENTLY t_id ON t (id);", id="plain"),
        pytest.param("CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id);", id="if-not-exists"),
    ],
)
@pytest.mark.parametrize(
    "remains",
    [
        pytest.param("create index t_id on t (id)", id="same-definition"),
        pytest.param("create index t_id on t (v)", id="other-definition"),
    ],
)
def test_an_invalid_index_is_removed_and_built_anew(
    pgstrata: CommandLine, database: Database, statement: str, remains: str
) -> None:
    database.psql(SCHEMA)
    make_invalid(database, remains)
    before = database.psql(VALID)
    ended = pgstrata.apply(declared("1", {"1_a.sql": statement}), database.uri)
    assert ended.said()[:2] == (0, "Succeeded")
    after = database.psql(VALID)
    assert after.endswith("|t\n")
    assert after.split("|")[0] != before.split("|")[0]
    definition = "select pg_get_indexdef('t_id'::regclass)"
    assert database.psql(definition) == "CREATE INDEX t_id ON public.t USING btree (id)\n"


def test_an_index_that_another_session_still_builds_is_waited_for(
    pgstrata: CommandLine, database: Database
) -> None:
    """It is INVALID all the while, and must not be taken for remains."""
    database.psql(SCHEMA)
    with old_snapshot(database) as session, database.connect() as other:
        text = "create index concurrently t_id on t (id)"
        builder = threading.Thread(target=other.execute, args=(text,))
        builder.start()
        query = "select indexrelid from pg_index where indexrelid = to_regclass('t_id')::oid"
        poll(lambda: database.psql(query).strip(), 60, "the other session builds")
        before = database.psql(VALID)
        assert before.endswith("|f\n")
        running = pgstrata.start_apply(declared("1", FILES), database.uri)
        running.wait_for(
            f"index public.t_id is not valid, and pid {other.info.backend_pid} may still be "
            "building it: waiting"
        )
        assert database.psql(VALID) == before
        session.execute("commit")
        builder.join(60)
        assert running.wait().said()[:2] == (0, "Succeeded")
    assert database.psql(VALID) == before.replace("|f", "|t")


def test_a_build_that_somebody_cancels_is_begun_anew(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    with old_snapshot(database) as session:
        running = pgstrata.start_apply(declared("1", FILES), database.uri)
        pid, first = waiting_build(database)
        database.psql(f"select pg_cancel_backend({pid})")
        # dropping the remains waits for the same snapshot, and is left alone
        poll(lambda: first not in database.psql(BUILDING), 60, "the build has ended")
        session.execute("commit")
        assert running.wait().said()[:2] == (0, "Succeeded")
    assert database.psql(VALID).endswith("|t\n")
    assert database.psql(INVALID) == "0\n"


@dataclass(frozen=True, slots=True)
class Taken:
    """What bears the wanted name, and what is said of it."""

    made: str
    says: str
    statement: str = FILES["1_a.sql"]


IF_NOT_EXISTS = "CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id);"
OTHER = "an index public.t_id with another definition exists"
NO_INDEX = "public.t_id exists and is no index of this table; rename or drop it"
TAKEN = {
    "other-column": Taken("create index t_id on t (v)", OTHER),
    "other-order": Taken("create index t_id on t (id desc)", OTHER),
    "other-method": Taken("create index t_id on t using hash (id)", OTHER),
    "unique": Taken("create unique index t_id on t (id)", OTHER),
    "partial": Taken("create index t_id on t (id) where v > 1", OTHER),
    "with-include": Taken("create index t_id on t (id) include (v)", OTHER),
    "if-not-exists": Taken("create index t_id on t (v)", OTHER, IF_NOT_EXISTS),
    "no-such-column": Taken(
        "create index t_id on t (id)", OTHER, "CREATE INDEX CONCURRENTLY t_id ON t (nothing);"
    ),
    "table": Taken("create table t_id (id int)", NO_INDEX),
    "view": Taken("create view t_id as select 1", NO_INDEX),
    "sequence-if-not-exists": Taken("create sequence t_id", NO_INDEX, IF_NOT_EXISTS),
    "index-of-another-table": Taken("create index t_id on other (id)", NO_INDEX),
}


@pytest.mark.parametrize("taken", [pytest.param(t, id=name) for name, t in TAKEN.items()])
def test_a_name_that_is_taken_is_for_a_person_to_decide(
    pgstrata: CommandLine, database: Database, taken: Taken
) -> None:
    database.psql(f"{SCHEMA} {taken.made}")
    before = database.psql("select oid, relkind from pg_class where relname = 't_id'")
    files = {"1_a.sql": f"-- first line\n{taken.statement}"}
    code, reason, message = pgstrata.apply(declared("1", files), database.uri).said()
    assert (code, reason) == (2, "Blocked")
    assert message.startswith(f"1_a.sql:2:1: {taken.says}")
    assert database.psql("select oid, relkind from pg_class where relname = 't_id'") == before


KINDS = """
CREATE INDEX CONCURRENTLY expression ON t (lower(name), (v + 1));
CREATE INDEX CONCURRENTLY partial ON t (id) WHERE v > 3 AND name IS NOT NULL;
CREATE UNIQUE INDEX CONCURRENTLY included ON t (id) INCLUDE (name, v);
CREATE INDEX CONCURRENTLY opclass ON t (name text_pattern_ops, id DESC NULLS LAST);
CREATE INDEX CONCURRENTLY hashed ON t USING hash (name);
CREATE INDEX CONCURRENTLY brin ON t USING brin (id) WITH (pages_per_range = 8);
CREATE INDEX CONCURRENTLY "Odd Name" ON public.t (name COLLATE "C");
"""
OIDS = """
select string_agg(indexrelid || ' ' || indisvalid, ', ' order by indexrelid)
from pg_index where indrelid = 't'::regclass
"""


def test_every_kind_of_index_is_built_once_and_adopted_elsewhere(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(SCHEMA)
    files = {"1_a.sql": KINDS}
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    built = database.psql(OIDS)
    assert built.count(" true") == 7
    dumped = database.dump_schema()

    database.psql("drop schema pgstrata cascade")  # as where another tool has made them
    assert pgstrata.apply(declared("1", files), database.uri).said()[:2] == (0, "Succeeded")
    assert database.psql(OIDS) == built
    assert database.dump_schema() == dumped


@pytest.mark.parametrize(
    ("prepare", "statement", "says"),
    [
        pytest.param(
            "create table p (id int) partition by range (id)",
            "CREATE INDEX CONCURRENTLY p_id ON p (id);",
            "p is partitioned, where an index cannot be built concurrently (SQLSTATE 0A000): make "
            "it by CREATE INDEX ... ON ONLY p, build one on each partition by CREATE INDEX "
            "CONCURRENTLY, and join them by ALTER INDEX ... ATTACH PARTITION",
            id="partitioned",
        ),
        pytest.param(
            "",
            "CREATE INDEX CONCURRENTLY n_id ON nothing (id);",
            'relation "nothing" does not exist (SQLSTATE 42P01)',
            id="no-table",
        ),
        pytest.param(
            "",
            "CREATE INDEX CONCURRENTLY t_x ON t (nothing);",
            'column "nothing" does not exist (SQLSTATE 42703)',
            id="no-column",
        ),
    ],
)
def test_an_index_that_cannot_be_built_is_told_with_its_place(
    pgstrata: CommandLine, database: Database, prepare: str, statement: str, says: str
) -> None:
    database.psql(f"{SCHEMA} {prepare}")
    files = {"1_a.sql": f"SELECT 1;\n  {statement}"}
    code, reason, message = pgstrata.apply(declared("1", files), database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("1_a.sql:2:")
    assert says in message
    assert database.psql(INVALID) == "0\n"


def test_what_was_tried_before_counts_neither_as_time_nor_against_a_baseline(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(f"{SCHEMA} insert into t values (1)")
    assert pgstrata.apply(declared("1", UNIQUE), database.uri).said()[:2] == (2, "MigrationFailed")
    database.psql("update pgstrata.step set started_at = now() - interval '1 day'")
    assert pgstrata.apply(declared("1", UNIQUE), database.uri).said()[:2] == (2, "MigrationFailed")
    took = "select max(coalesce(finished_at, now()) - started_at) < interval '1 hour'"
    assert database.psql(f"{took} from pgstrata.step") == "t\n"

    [database_, version] = declared("1", UNIQUE)
    adopted = version | {"spec": version["spec"] | {"baseline": "1"}}
    ended = pgstrata.apply([database_, adopted], database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql("select count(*) from pg_index where not indisvalid") == "0\n"
