"""What gives another value each time is found behind operators, casts and views, too: no trigger
could give what the UPDATE gives."""

import pytest

from tests.testbed.command_line import CommandLine
from tests.testbed.database import Database
from tests.testbed.declarations import declared

pytestmark = pytest.mark.pg18only

TABLE = """
CREATE TYPE pair AS (x int);
CREATE DOMAIN named AS pair;
CREATE TABLE t (id int PRIMARY KEY, v int, p pair, q named, ps pair[], d text, drawn float, e text);
CREATE TABLE o (id int PRIMARY KEY, x text);
INSERT INTO t (id, v, p, q, ps) SELECT i, i, '(1)', '(1)', '{(1)}' FROM generate_series(1, 20) i;
INSERT INTO o SELECT i, i FROM generate_series(1, 20) i;
CREATE FUNCTION draw(int) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT (random() + $1)::text';
CREATE FUNCTION draw(pair) RETURNS text LANGUAGE sql VOLATILE AS 'SELECT random()::text';
CREATE FUNCTION drawn(pair) RETURNS float LANGUAGE sql VOLATILE AS 'SELECT random()';
CREATE FUNCTION steady(int) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ($1 + 1)::text';
CREATE FUNCTION steady(pair) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 1::bigint';
CREATE FUNCTION same(pair, int) RETURNS boolean LANGUAGE sql VOLATILE AS 'SELECT random() < 2';
CREATE OPERATOR ## (FUNCTION = draw, RIGHTARG = int);
CREATE OPERATOR #~# (FUNCTION = steady, RIGHTARG = int);
CREATE OPERATOR === (FUNCTION = same, LEFTARG = pair, RIGHTARG = int);
CREATE CAST (pair AS text) WITH FUNCTION draw(pair);
CREATE CAST (pair AS float) WITH FUNCTION drawn(pair) AS ASSIGNMENT;
CREATE CAST (pair AS bigint) WITH FUNCTION steady(pair);
CREATE VIEW drawn_view AS SELECT random() AS r;
CREATE VIEW above AS SELECT r FROM drawn_view;
CREATE VIEW by_operator AS SELECT ## 1 AS r;
CREATE VIEW steady_view AS SELECT id, x FROM o;
"""
VOLATILE = {
    "an operator": ("d = (## v)", "operator ##"),
    "an operator with its schema": ("d = OPERATOR(public.##) v", "operator ##"),
    "an operator that compares": ("d = CASE WHEN p === 1 THEN 'x' ELSE 'y' END", "operator ==="),
    "a cast": ("d = p::text", "the cast from pair to text"),
    "a cast of a domain": ("d = q::text", "the cast from pair to text"),
    "a cast of an array": ("d = (ps::text[])[1]", "the cast from pair to text"),
    "a cast by assignment": ("drawn = p", "the cast from pair to double precision"),
    "a view": ("d = (SELECT r FROM drawn_view)::text", "random()"),
    "a view over a view": ("d = (SELECT r FROM public.above)::text", "random()"),
    "an operator in a view": ("d = (SELECT r FROM by_operator)", "operator ##"),
}
STEADY = {
    "an operator": "d = #~# v",
    "a cast": "d = (p::bigint)::text",
    "another cast": "d = v::text",
    "a view": "d = (SELECT x FROM steady_view AS s WHERE s.id = t.id)",
}


def migration(set_: str, keep: str) -> dict[str, str]:
    target = set_.partition(" ")[0]
    text = f"-- pgstrata: batch keep={keep}\nUPDATE t SET {set_} WHERE {target} IS NULL;\n"
    return {"1_a.expand.sql": "CREATE TABLE made (id int);", "1_b.migrate.sql": text}


@pytest.mark.parametrize("what", VOLATILE)
def test_no_trigger_keeps_what_is_volatile_behind(
    pgstrata: CommandLine, database: Database, what: str
) -> None:
    database.psql(TABLE)
    set_, cause = VOLATILE[what]
    says = f"{cause} is volatile: a trigger would not give what the UPDATE gives"
    ended = pgstrata.apply(declared("1", migration(set_, "always")), database.uri)
    code, reason, message = ended.said()
    assert (code, reason) == (2, "MigrationFailed")
    assert message.startswith("1_b.migrate.sql:2:1: keep=always cannot be held: ")
    assert says in message
    assert "nothing was run" in message
    assert database.psql("SELECT to_regclass('made') IS NULL") == "t\n"
    ended = pgstrata.apply(declared("1", migration(set_, "auto")), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert not ended.status().get("temporary")
    target = set_.partition(" ")[0]
    assert database.psql(f"SELECT count(*) FROM t WHERE {target} IS NULL") == "0\n"


@pytest.mark.parametrize("what", STEADY)
def test_a_trigger_keeps_what_is_steady_behind(
    pgstrata: CommandLine, database: Database, what: str
) -> None:
    database.psql(TABLE)
    ended = pgstrata.apply(declared("1", migration(STEADY[what], "always")), database.uri)
    assert ended.said()[:2] == (0, "Succeeded"), ended.said()
    assert len(ended.status()["temporary"]) == 1


def test_always_says_that_a_sub_select_sets_several_columns(
    pgstrata: CommandLine, database: Database
) -> None:
    database.psql(TABLE)
    text = "UPDATE t SET (d, e) = (SELECT x, x FROM o WHERE o.id = t.id) WHERE d IS NULL;"
    files = {"1_b.migrate.sql": f"-- pgstrata: batch keep=always\n{text}\n"}
    code, reason, message = pgstrata.apply(declared("1", files), database.uri).said()
    assert (code, reason) == (2, "MigrationFailed")
    assert "keep=always cannot be held: it sets several columns by one sub-select" in message
