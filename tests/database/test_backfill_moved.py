"""A backfill that stopped in the middle, and whose statement stands somewhere else when it goes on,
or whose trigger is gone.
"""

import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import declared

pytestmark = pytest.mark.pg18only

TABLE = """
CREATE TABLE t (id int PRIMARY KEY, k text NOT NULL UNIQUE, a text, b text,
                n int NOT NULL DEFAULT 0, bad int NOT NULL DEFAULT 1);
INSERT INTO t (id, k, a) SELECT i, md5(i::text), 'a' || i FROM generate_series(1, 500) AS i;
CREATE TABLE u AS TABLE t; ALTER TABLE u ADD PRIMARY KEY (id);
UPDATE t SET bad = 0 WHERE id = 333;
VACUUM FULL t;
"""
FILE, OTHER_FILE = "1_b.migrate.sql", "1_c.migrate.sql"
ONCE = "-- pgstrata: batch size=50\nUPDATE t SET n = n + 1 / bad;\n"
MENDED = ONCE.replace("1 / bad", "CASE bad WHEN 0 THEN 1 ELSE 1 END")
ABOVE = "UPDATE t SET bad = 1 WHERE bad = 0;\n"
BY_KEY = ONCE.replace("batch", "batch key=k")
OTHER_TABLE = ONCE.replace("UPDATE t", "UPDATE u")
OTHER_BATCH = "-- pgstrata: batch size=50\nUPDATE u SET n = n + 5;\n"
COUNTS = "SELECT min(n), max(n), count(*) FILTER (WHERE n > 0) FROM t"
MEND = "UPDATE t SET bad = 1"


def apply(
    pgstrata: CommandLine,
    database: Database,
    files: dict[str, str],
    version: str = "1",
    through: str = "Migrate",
) -> Ended:
    return pgstrata.apply(declared(version, files, through=through), database.uri)


def stop_midway(pgstrata: CommandLine, database: Database, text: str, setup: str = TABLE) -> None:
    database.psql(setup)
    code, reason, message = apply(pgstrata, database, {FILE: text}).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert "row id=333: division by zero" in message


GOES_ON = {
    "below another statement": {FILE: ABOVE + ONCE},
    "below another backfill": {FILE: OTHER_BATCH + ONCE},
    "in another file": {OTHER_FILE: ONCE},
    "in another file, below another": {FILE: ABOVE, OTHER_FILE: ABOVE + ONCE},
    "mended": {FILE: MENDED},
    "in other batches": {FILE: ONCE.replace("size=50", "size=20")},
    "above the same statement": {FILE: ABOVE + ONCE, "2_b.migrate.sql": ONCE},
}


@pytest.mark.parametrize("where", GOES_ON)
def test_what_is_done_once_goes_on_where_its_statement_stands_now(
    pgstrata: CommandLine, database: Database, where: str
) -> None:
    stop_midway(pgstrata, database, ONCE)
    assert database.psql(COUNTS) == "0|1|332\n"
    if where != "mended":
        database.psql(MEND)
    ended = apply(pgstrata, database, GOES_ON[where])
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(COUNTS) == "1|1|500\n"
    assert database.psql("SELECT min(n), max(n) FROM u") in ("0|0\n", "5|5\n")
    assert database.psql("SELECT count(*) FROM pgstrata.cursor") == "0\n"


REFUSED = {
    "by another key": ({FILE: BY_KEY}, "1"),
    "by another key, below another statement": ({FILE: ABOVE + BY_KEY}, "1"),
    "mended and below another statement": ({FILE: ABOVE + MENDED}, "1"),
    "mended and in another file": ({OTHER_FILE: MENDED}, "1"),
    "of another table": ({FILE: OTHER_TABLE}, "1"),
    "in another phase": ({"1_b.expand.sql": ONCE}, "1"),
    "in another version": ({FILE: ABOVE, "2_b.migrate.sql": ONCE}, "2"),
}


@pytest.mark.parametrize("how", REFUSED)
def test_what_is_done_once_is_refused_where_it_cannot_go_on(
    pgstrata: CommandLine, database: Database, how: str
) -> None:
    stop_midway(pgstrata, database, ONCE)
    files, version = REFUSED[how]
    code, reason, message = apply(pgstrata, database, files, version).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert "rows up to id=332 were done once already by a backfill over public.t" in message
    assert "put statement and directive back as they were" in message
    assert message.endswith("nothing was run")
    assert database.psql(f"{COUNTS} WHERE bad = 1") == "0|1|332\n"
    assert database.psql("SELECT count(*) FROM t WHERE bad = 0") == "1\n", "nothing was run"
    database.psql(MEND)
    ended = apply(pgstrata, database, {FILE: ONCE})
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(COUNTS) == "1|1|500\n"


def test_what_is_refused_runs_once_its_cursor_is_taken_away(
    pgstrata: CommandLine, database: Database
) -> None:
    stop_midway(pgstrata, database, ONCE)
    database.psql(MEND)
    _, _, message = apply(pgstrata, database, {FILE: BY_KEY}).said()
    statement = message.partition(" run: ")[2].partition(";")[0]
    database.psql(f"UPDATE t SET n = 0; {statement}")
    assert apply(pgstrata, database, {FILE: BY_KEY}).said()[:2] == (0, "Succeeded")
    assert database.psql(COUNTS) == "1|1|500\n"


KEEP = "-- pgstrata: batch size=50 keep=always\n"
EMPTY_ONLY = f"{KEEP}UPDATE t SET b = upper(a) || repeat('', 1 / bad) WHERE b IS NULL;\n"
BY_VALUE = f"{KEEP}UPDATE t SET b = upper(a) || repeat('', 1 / bad);\n"
STALE = "SELECT count(*) FROM t WHERE b IS DISTINCT FROM upper(a)"
OLD_WRITE = "UPDATE t SET a = a || 'x' WHERE id % 10 = 1"
TRIGGERS = "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zzz\\_pgstrata\\_%'"


def finish(pgstrata: CommandLine, database: Database, files: dict[str, str]) -> None:
    database.psql(MEND)
    ended = apply(pgstrata, database, files)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(STALE) == "0\n"
    assert database.psql(TRIGGERS) == "1\n"


def test_a_trigger_stays_while_less_is_asked_for(pgstrata: CommandLine, database: Database) -> None:
    stop_midway(pgstrata, database, EMPTY_ONLY)
    later = {"2_z.expand.sql": "CREATE TABLE z ();"}
    ended = apply(pgstrata, database, {FILE: EMPTY_ONLY} | later, "2", through="Expand")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql("SELECT to_regclass('z') IS NOT NULL") == "t\n"
    assert database.psql(TRIGGERS) == "1\n"
    database.psql(OLD_WRITE)
    database.psql(MEND)
    ended = apply(pgstrata, database, {FILE: EMPTY_ONLY} | later, "2")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(STALE) == "0\n"


def test_a_trigger_stays_behind_a_barrier(pgstrata: CommandLine, database: Database) -> None:
    database.psql(TABLE)
    contract = "SELECT 1;"
    files = {
        "1_a.migrate.sql": "SELECT 1;",
        "1_a.contract.sql": contract,
        "2_b.migrate.sql": EMPTY_ONLY,
    }
    assert apply(pgstrata, database, files, "2").said()[:2] == (2, "MigrationFailed")
    held = files | {
        "1_a.contract.sql": f"-- pgstrata: barrier\n{contract}",
        "1_a.verify.sql": "SELECT 1 WHERE false;",  # something to do
    }
    assert apply(pgstrata, database, held, "2").said()[1] == "ContractPending"
    assert database.psql(TRIGGERS) == "1\n"
    database.psql(OLD_WRITE)
    database.psql(MEND)
    assert apply(pgstrata, database, files, "2").said()[:2] == (0, "Succeeded")
    assert database.psql(STALE) == "0\n"


def test_a_trigger_of_a_version_above_the_target_stays(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    files = {"1_a.migrate.sql": "SELECT 1;", "2_b.migrate.sql": EMPTY_ONLY}
    assert apply(pgstrata, database, files, "2").said()[:2] == (2, "MigrationFailed")
    files["1_a.contract.sql"] = "SELECT 1;"
    database.psql("DELETE FROM pgstrata.version WHERE version = '2'")  # its empty Expand
    ended = pgstrata.apply(
        declared("1", files, through="Contract"), database.uri, "--approve", "all"
    )
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert database.psql(TRIGGERS) == "1\n"
    database.psql(OLD_WRITE)
    database.psql(MEND)
    assert apply(pgstrata, database, files, "2").said()[:2] == (0, "Succeeded")
    assert database.psql(STALE) == "0\n"


MOVED = {
    "below another statement": lambda above: {FILE: above + EMPTY_ONLY},
    "in another file": lambda above: {"1_a.migrate.sql": above, OTHER_FILE: EMPTY_ONLY},
}


@pytest.mark.parametrize("where", MOVED)
def test_a_trigger_stays_while_what_is_now_above_its_statement_runs(
    pgstrata: CommandLine, database: Database, where: str
) -> None:
    stop_midway(pgstrata, database, EMPTY_ONLY)
    seen = f"CREATE TABLE seen AS {TRIGGERS};\n"
    write = f"{OLD_WRITE};\n"
    finish(pgstrata, database, MOVED[where](seen + write))
    assert database.psql("SELECT count FROM seen") == "1\n"
    assert database.psql("SELECT count(*) FROM pgstrata.owned") == "1\n"


def drop_by_hand(database: Database) -> None:
    name = database.psql("SELECT name FROM pgstrata.owned").strip()
    database.psql(f"DROP FUNCTION pgstrata.{name}() CASCADE")


@pytest.mark.parametrize("where", ["", " WHERE b IS DISTINCT FROM upper(a) || repeat('', 1 / bad)"])
def test_a_trigger_that_was_dropped_by_hand_takes_the_cursor_with_it(
    pgstrata: CommandLine, database: Database, where: str
) -> None:
    text = BY_VALUE.replace(";", f"{where};")
    stop_midway(pgstrata, database, text)
    drop_by_hand(database)
    database.psql(OLD_WRITE)
    assert apply(pgstrata, database, {FILE: text}).said()[:2] == (2, "MigrationFailed")
    assert database.psql("SELECT pass, rows FROM pgstrata.cursor") == "1|0\n", "begun anew"
    finish(pgstrata, database, {FILE: text})


def test_where_the_condition_would_not_see_what_is_stale_it_is_refused(
    pgstrata: CommandLine, database: Database
) -> None:
    stop_midway(pgstrata, database, EMPTY_ONLY)
    drop_by_hand(database)
    database.psql(OLD_WRITE)
    database.psql(MEND)
    for _ in range(2):
        code, reason, message = apply(pgstrata, database, {FILE: EMPTY_ONLY}).said()
        assert (code, reason) == (2, "MigrationFailed")
        assert "kept them right is gone or disabled: where a, bad changed since" in message
    mended = EMPTY_ONLY.replace("b IS NULL", "b IS DISTINCT FROM upper(a)")
    finish(pgstrata, database, {FILE: mended})


def test_what_is_stale_may_be_put_right_by_hand(pgstrata: CommandLine, database: Database) -> None:
    stop_midway(pgstrata, database, EMPTY_ONLY)
    drop_by_hand(database)
    database.psql(OLD_WRITE)
    _, _, message = apply(pgstrata, database, {FILE: EMPTY_ONLY}).said()
    statement = message.partition(" run then: ")[2]
    assert statement
    database.psql(f"UPDATE t SET b = NULL WHERE b <> upper(a); {statement}")
    finish(pgstrata, database, {FILE: EMPTY_ONLY})
