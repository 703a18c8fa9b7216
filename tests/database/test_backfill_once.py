"""Statements that give something else when they are run again, or in parts: in batches each does
what one UPDATE or DELETE does, or is refused before anything runs."""

import pytest

from tests.testbed.command_line import CommandLine, Ended
from tests.testbed.database import Database
from tests.testbed.declarations import declared

pytestmark = pytest.mark.pg18only

ROWS = "insert into t (id) select i from generate_series(1, 60) as i;"
TOUCH = """
create function touch() returns trigger language plpgsql as
$$ begin new.updated_at := now(); return new; end $$;
create trigger touch before update on t for each row execute function touch();
"""
LEDGER = """
create table led (id int, amt int); insert into led select i, 10 from generate_series(1, 60) as i;
create function book() returns trigger language plpgsql as
$$ begin insert into led values (new.id, 1); return null; end $$;
create trigger book after update on t for each row execute function book();
"""
TRUTHS = """
create table t (id int primary key, p bool, q bool, n int default 0);
insert into t select 3 * i + j, (array[true, false, null])[1 + i % 3], (array[true, false, null])[j]
from generate_series(0, 19) as i, generate_series(1, 3) as j;
"""
OF_OTHERS = "create table t (id int primary key, v int, n int default 0);"

EXACT = {
    "parentheses in DELETE": (
        TRUTHS,
        "DELETE FROM t WHERE (p OR q) IS NULL",
        "select count(*) from t where (p or q) is null",
        0,
    ),
    "what parentheses leave": (
        TRUTHS,
        "DELETE FROM t WHERE (NOT p) IS NULL",
        "select count(*) from t where p is not null",
        42,
    ),
    "parentheses in UPDATE": (
        TRUTHS,
        "UPDATE t SET n = n + 1 WHERE p IS NOT DISTINCT FROM (q OR p)",
        "select count(*) from t where n <> (p is not distinct from (q or p))::int",
        0,
    ),
    "a touched source": (
        "create table t (id int primary key, updated_at timestamptz default '2020-01-01',"
        f" made_at timestamptz); {ROWS} {TOUCH}",
        "UPDATE t SET made_at = updated_at",
        "select count(*) from t where made_at = '2020-01-01'",
        60,
    ),
    "a touched source, guarded": (
        "create table t (id int primary key, updated_at timestamptz default '2020-01-01',"
        f" made_at timestamptz); {ROWS} {TOUCH}",
        "UPDATE t SET made_at = updated_at WHERE made_at IS DISTINCT FROM updated_at",
        "select count(*) from t where made_at = '2020-01-01'",
        60,
    ),
    "a generated source": (
        "create table t (id int primary key, price int default 100, qty int default 1,"
        f" total int generated always as (price * qty) stored); {ROWS}",
        "UPDATE t SET price = total * 11 / 10 / qty",
        "select count(*) from t where price = 110",
        60,
    ),
    "a source that a trigger behind it writes": (
        f"create table t (id int primary key, bal int); {ROWS} {LEDGER}",
        "UPDATE t SET bal = (SELECT sum(amt) FROM led WHERE led.id = t.id)",
        "select count(*) from t where bal = 10",
        60,
    ),
    "a function that reads the table": (
        f"create table t (id int primary key, n int default 1); {ROWS}"
        " create function f(int) returns int language sql stable as 'select n from t where id=$1';",
        "UPDATE t SET n = f(id) * 2",
        "select count(*) from t where n = 2",
        60,
    ),
    "a column called as its table": (
        "create table comment (id int primary key, comment text default 'c');"
        " insert into comment (id) select i from generate_series(1, 60) as i;",
        "UPDATE comment SET comment = comment || '!'",
        "select count(*) from comment where comment = 'c!'",
        60,
    ),
    "a row beside a column called as its table": (
        "create table note (id int primary key, note text, b text);"
        " insert into note select i, 'x' from generate_series(1, 60) as i;",
        "UPDATE note SET b = row_to_json(note.*)::text",
        "select count(*) from note where b like '%null}'",
        60,
    ),
}


def apply(pgstrata: CommandLine, database: Database, statement: str, options: str) -> Ended:
    files = {
        "1_a.expand.sql": "CREATE TABLE made ();",
        "1_b.migrate.sql": f"-- pgstrata: batch {options}\n{statement};\n",
    }
    return pgstrata.apply(declared("1", files), database.uri, "--approve", "all")


@pytest.mark.parametrize("what", EXACT)
def test_each_row_is_as_one_statement_leaves_it_also_at_a_second_look(
    pgstrata: CommandLine, database: Database, what: str
) -> None:
    table, statement, question, expected = EXACT[what]
    database.psql(table)
    for _ in range(2):
        ended = apply(pgstrata, database, statement, "key=id size=7")
        assert ended.said()[:2] == (0, "Succeeded"), ended.said()
        assert database.psql(question) == f"{expected}\n"


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("DELETE FROM t WHERE random() < 0.2", "select count(*) from t"),
        (
            "UPDATE t SET v = 1 WHERE v IS NULL AND random() < 0.2",
            "select count(*) from t where v is null",
        ),
    ],
)
def test_what_is_drawn_by_lot_is_drawn_once(
    pgstrata: CommandLine, database: Database, statement: str, question: str
) -> None:
    database.psql("create table t (id int primary key, v int); " + ROWS.replace("60", "2000"))
    ended = apply(pgstrata, database, statement, "")
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert 1400 < int(database.psql(question)) < 1800


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE t SET n = x.r FROM (SELECT id, row_number() OVER (ORDER BY v) AS r FROM t) x "
        "WHERE x.id = t.id",
        "UPDATE t SET n = 1 WHERE id NOT IN (SELECT DISTINCT ON (z.v) z.id FROM t z ORDER BY z.v)",
        "UPDATE t SET n = 1 WHERE id IN (SELECT z.id FROM t z ORDER BY z.v LIMIT 10)",
    ],
)
def test_rows_of_the_table_that_are_numbered_or_cut_off_are_refused(
    pgstrata: CommandLine, database: Database, statement: str
) -> None:
    database.psql(OF_OTHERS)
    code, reason, message = apply(pgstrata, database, statement, "").said()
    assert (code, reason) == (2, "MigrationFailed"), message
    assert "numbers or picks rows of public.t" in message
    assert database.psql("select to_regclass('made')") == "\n", "nothing was run"


def test_no_trigger_looks_for_the_new_row_among_the_others(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(f"{OF_OTHERS} insert into t values (1, 1), (2, 1), (3, 2);")
    statement = "UPDATE t SET n = 1 WHERE id NOT IN (SELECT min(z.id) FROM t z GROUP BY z.v)"
    assert apply(pgstrata, database, statement, "").said()[:2] == (0, "Succeeded")
    database.psql("insert into t values (4, 7)")
    assert database.psql("select id from t where n = 1") == "2\n"


def test_the_trigger_leaves_a_column_alone_that_may_not_be_null(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql("create table t (id int primary key, a text, b text not null default '');")
    statement = "UPDATE t SET b = upper(a) WHERE b = ''"
    assert apply(pgstrata, database, statement, "").said()[:2] == (0, "Succeeded")
    database.psql("insert into t (id) values (1); insert into t (id, a) values (2, 'x')")
    database.psql("update t set a = null where id = 2")
    assert database.psql("select b from t order by id") == "\nX\n"


def test_a_coalesced_column_follows_its_source(pgstrata: CommandLine, database: Database) -> None:
    database.psql("create table t (id int primary key, a text, b text);")
    statement = "UPDATE t SET b = COALESCE(b, upper(a))"
    assert apply(pgstrata, database, statement, "").said()[:2] == (0, "Succeeded")
    database.psql("insert into t values (1, 'x', null), (2, 'x', 'own')")
    database.psql("update t set a = 'new'")
    assert database.psql("select b from t order by id") == "NEW\nown\n"
