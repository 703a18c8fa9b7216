"""Backfills of every shape, each over a table of its own, with what must be so afterwards.

Each is one SchemaVersion in a schema named as the shape, so that a single run of the command line
takes them all, and one that fails does not stop the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """One backfill."""

    table: str
    """What makes and fills the table t (or what it is called), run beforehand."""
    statement: str
    holds: str
    """A condition that is true once all is as the plain statement would have made it."""
    options: str = "key=id size=3"
    keeps: bool = True
    """Whether there is a trigger until Contract."""
    before: str = ""
    """What stands above the directive."""

    def files(self) -> dict[str, str]:
        """The migration."""
        directive = f"-- pgstrata: batch {self.options}"
        return {"1_b.migrate.sql": f"{self.before}\n{directive}\n{self.statement};\n"}


def filled(columns: str, values: str, rows: int = 20) -> str:
    """A table t of `rows` rows; `values` are expressions of i."""
    series = f"generate_series(1, {rows}) AS i"
    return f"CREATE TABLE t ({columns}); INSERT INTO t SELECT {values} FROM {series};"


_PLAIN = filled("id int PRIMARY KEY, a text, b text", "i, 'a' || i, NULL")
_SET = "UPDATE t SET b = upper(a) WHERE b IS NULL"
_DONE = "(SELECT bool_and(b = upper(a)) AND count(*) = 20 FROM t)"
_COUNTED = filled("id int PRIMARY KEY, n int NOT NULL DEFAULT 0", "i, 0")
_ONCE = "(SELECT bool_and(n = 1) AND count(*) = 20 FROM t)"


def _keyed(type_: str, value: str) -> str:
    return filled(f"id {type_} PRIMARY KEY, a text, b text", f"{value}, 'a' || i, NULL")


SHAPES: Mapping[str, Shape] = {
    "single": Shape(_PLAIN, _SET, _DONE),
    "adaptive": Shape(_PLAIN, _SET, _DONE, "size=adaptive"),
    "by_key": Shape(_PLAIN, _SET, _DONE, "key=id size=3 keep=never", keeps=False),
    "empty": Shape("CREATE TABLE t (id int PRIMARY KEY, a text, b text);", _SET, "true"),
    "empty_by_key": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text);",
        _SET,
        "true",
        "keep=never",
        keeps=False,
    ),
    "one_at_a_time": Shape(_PLAIN, _SET, _DONE, "size=1 keep=never", keeps=False),
    "composite": Shape(
        filled(
            "tenant text, id int, a text, b text, PRIMARY KEY (tenant, id)",
            "'x' || i % 3, i, 'a' || i, NULL",
        ),
        _SET,
        _DONE,
        "key=id,tenant size=3 keep=never",
        keeps=False,
    ),
    "text": Shape(
        "CREATE TABLE t (id text PRIMARY KEY, a text, b text); INSERT INTO t (id, a) VALUES "
        "('', 'a'), ('it''s', 'b'), (E'back\\\\slash', 'c'), ('100%', 'd'), (':x', 'e'), "
        "('%(x)s', 'f'), ('Ä', 'g'), ('{0}', 'h'), (E'\\n', 'i'), ('pgstrata:high:0', 'j'), "
        "('pgstrata:low:0', 'k'), ('$1', 'l');",
        _SET,
        "(SELECT bool_and(b = upper(a)) AND count(*) = 12 FROM t)",
        "size=1 keep=never",
        keeps=False,
    ),
    "uuid": Shape(_keyed("uuid", "gen_random_uuid()"), _SET, _DONE, "size=3 keep=never", False),
    "char_n": Shape(_keyed("char(5)", "chr(64 + i)"), _SET, _DONE, "size=3 keep=never", False),
    "quoted_char": Shape(
        _keyed('"char"', 'chr(64 + i)::"char"'), _SET, _DONE, "size=3 keep=never", False
    ),
    "times": Shape(
        _keyed("timestamptz", "'2026-03-29 00:30+00'::timestamptz + i * interval '10 min'"),
        _SET,
        _DONE,
        "size=1 keep=never",
        keeps=False,
        before="SET TimeZone = 'Europe/Berlin'; SET DateStyle = 'SQL, DMY';",
    ),
    "another_collation": Shape(
        'CREATE DOMAIN word AS text COLLATE "C";'
        + _keyed('word COLLATE "de-x-icu"', "chr(64 + i)"),
        _SET,
        _DONE,
        "size=3 keep=never",
        keeps=False,
    ),
    "no_search_path": Shape(
        _PLAIN,
        "UPDATE no_search_path.t SET b = upper(a) WHERE b IS NULL",
        _DONE,
        before="SELECT pg_catalog.set_config('search_path', '', false);",
    ),
    "floats": Shape(
        _keyed("float8", "i / 3.0"), f"{_SET}", _DONE, "size=1 keep=never", keeps=False
    ),
    "bits": Shape(_keyed("bit(6)", "i::bit(6)"), _SET, _DONE, "size=3 keep=never", False),
    "domains": Shape(
        'CREATE DOMAIN "Odd Name" AS bigint CHECK (VALUE > 0);' + _keyed('"Odd Name"', "i"),
        _SET,
        _DONE,
        "size=3 keep=never",
        keeps=False,
    ),
    "enums": Shape(
        "CREATE TYPE size AS ENUM ('s', 'm', 'l');"
        "CREATE TABLE t (id size PRIMARY KEY, a text, b text);"
        "INSERT INTO t VALUES ('s', 'a'), ('m', 'b'), ('l', 'c');",
        _SET,
        "(SELECT bool_and(b = upper(a)) FROM t)",
        "size=1 keep=never",
        keeps=False,
    ),
    "mixed_case": Shape(
        'CREATE TABLE "My T" ("The Key" int PRIMARY KEY, "A, b" text, "B" text);'
        "INSERT INTO \"My T\" SELECT i, 'a' || i FROM generate_series(1, 20) AS i;",
        'UPDATE "My T" SET "B" = upper("A, b") WHERE "B" IS NULL',
        '(SELECT bool_and("B" = upper("A, b")) FROM "My T")',
        'key="The Key" size=3',
    ),
    "other_unique": Shape(
        filled("id int, c int NOT NULL UNIQUE, a text, b text", "NULL, i, 'a' || i, NULL"),
        _SET,
        _DONE,
        "key=c size=3 keep=never",
        keeps=False,
    ),
    "included": Shape(
        filled("id int, a text, b text", "i, 'a' || i, NULL")
        + "ALTER TABLE t ADD PRIMARY KEY (id) INCLUDE (a);",
        _SET,
        _DONE,
        "key=id size=3 keep=never",
        keeps=False,
    ),
    "update_from": Shape(
        _PLAIN + "CREATE TABLE o (t_id int PRIMARY KEY, v text);"
        "INSERT INTO o SELECT i, 'v' || i FROM generate_series(1, 10) AS i;",
        "UPDATE t SET b = o.v FROM o WHERE o.t_id = t.id AND t.b IS NULL",
        "(SELECT bool_and(b IS NOT DISTINCT FROM CASE WHEN id <= 10 THEN 'v' || id END) FROM t)",
    ),
    "joined": Shape(
        _PLAIN + "CREATE TABLE o (id int PRIMARY KEY, p int); CREATE TABLE p (id int, v text);"
        "INSERT INTO o SELECT i, i FROM generate_series(1, 20) AS i;"
        "INSERT INTO p SELECT i, 'v' || i FROM generate_series(1, 20) AS i;",
        "UPDATE t AS x SET b = p.v FROM o JOIN p ON p.id = o.p WHERE o.id = x.id",
        "(SELECT bool_and(b = 'v' || id) FROM t)",
    ),
    "sub_select": Shape(
        _PLAIN + "CREATE TABLE o (t_id int, v int);"
        "INSERT INTO o SELECT i % 20 + 1, i FROM generate_series(1, 100) AS i;",
        "UPDATE t SET b = (SELECT sum(v)::text FROM o WHERE o.t_id = t.id)",
        "(SELECT bool_and(b = (SELECT sum(v)::text FROM o WHERE o.t_id = t.id)) FROM t)",
    ),
    "several_targets": Shape(
        filled("id int PRIMARY KEY, a text, b text, c int", "i, 'a' || i, NULL, NULL"),
        "UPDATE t SET (b, c) = ROW(upper(a), length(a)) WHERE b IS NULL OR c IS NULL",
        "(SELECT bool_and(b = upper(a) AND c = length(a)) FROM t)",
    ),
    "several_from_a_query": Shape(
        filled("id int PRIMARY KEY, a text, b text, c int", "i, 'a' || i, NULL, NULL"),
        "UPDATE t SET (b, c) = (SELECT upper(t.a), length(t.a)) WHERE b IS NULL OR c IS NULL",
        "(SELECT bool_and(b = upper(a) AND c = length(a)) FROM t)",
        keeps=False,
    ),
    "no_where": Shape(_PLAIN, "UPDATE t SET b = upper(a)", _DONE),
    "numeric": Shape(
        filled("id int PRIMARY KEY, a numeric, b numeric(10,2)", "i, i / 3.0, NULL"),
        "UPDATE t SET b = a * 1.005",
        "(SELECT bool_and(b = round(a * 1.005, 2)) FROM t)",
    ),
    "reals": Shape(
        filled("id int PRIMARY KEY, a float8, b real, c timestamp(0)", "i, i / 3.0, NULL, NULL"),
        "UPDATE t SET b = a / 7, c = '2026-01-01'::timestamp + a * interval '1 s'",
        "(SELECT bool_and(b = (a / 7)::real AND c IS NOT NULL) FROM t)",
    ),
    "equal_and_not_the_same": Shape(
        "CREATE COLLATION blind (provider=icu, locale='und-u-ks-level2', deterministic=false);"
        + filled(
            "id int PRIMARY KEY, a text, b text COLLATE blind, c numeric, d interval, e box",
            "i, 'a' || i, 'A' || i, 1.5, '30 days', '(0,0),(1,4)'",
        ),
        "UPDATE t SET b = a, c = 1.50, d = '1 mon', e = '(0,0),(2,2)'",
        """(SELECT bool_and(a = b COLLATE "C" AND c::text = '1.50' AND d::text = '1 mon'"""
        " AND e::text = '(2,2),(0,0)') FROM t)",
    ),
    "jsonb": Shape(
        filled("id int PRIMARY KEY, a text, b jsonb", "i, 'a' || i, NULL"),
        "UPDATE t SET b = jsonb_build_object('a', a, 'n', id * 1.50)",
        "(SELECT bool_and(b ->> 'a' = a) FROM t)",
    ),
    "json": Shape(
        filled("id int PRIMARY KEY, a text, b json", "i, 'a' || i, NULL"),
        "UPDATE t SET b = json_build_object('a', a) WHERE b IS NULL",
        "(SELECT bool_and(b ->> 'a' = a) FROM t)",
        keeps=False,
    ),
    "part_of_an_array": Shape(
        filled("id int PRIMARY KEY, b int[]", "i, ARRAY[1, 2]"),
        "UPDATE t SET b[2] = b[2] * 10",
        "(SELECT bool_and(b = ARRAY[1, 20]) FROM t)",
        keeps=False,
    ),
    "to_the_default": Shape(
        filled("id int PRIMARY KEY, b text DEFAULT 'd'", "i, NULL"),
        "UPDATE t SET b = DEFAULT WHERE b IS NULL",
        "(SELECT bool_and(b = 'd') FROM t)",
        keeps=False,
    ),
    "whole_row": Shape(
        filled("id int PRIMARY KEY, a text, b jsonb", "i, 'a' || i, NULL"),
        "UPDATE t SET b = to_jsonb(t)",
        "(SELECT bool_and(b = jsonb_build_object('id', id, 'a', a, 'b', NULL)) FROM t)",
        keeps=False,
    ),
    "deleted": Shape(
        _PLAIN, "DELETE FROM t WHERE id % 2 = 0", "(SELECT count(*) = 10 FROM t)", keeps=False
    ),
    "deleted_by_another": Shape(
        _PLAIN + "CREATE TABLE o (t_id int); INSERT INTO o VALUES (3), (3), (5);",
        "DELETE FROM t AS x USING o WHERE o.t_id = x.id",
        "(SELECT count(*) = 18 FROM t)",
        keeps=False,
    ),
    "all_deleted": Shape(_PLAIN, "DELETE FROM t", "NOT EXISTS (SELECT FROM t)", keeps=False),
    "partitioned": Shape(
        "CREATE TABLE t (id int, day date, a text, b text, PRIMARY KEY (day, id))"
        " PARTITION BY RANGE (day);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM ('2026-01-01') TO ('2026-01-10');"
        "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM ('2026-01-10') TO ('2026-02-01');"
        "INSERT INTO t SELECT i, '2026-01-01'::date + i, 'a' || i"
        " FROM generate_series(1, 20) AS i;",
        _SET,
        _DONE,
        "size=3",
    ),
    "inherited": Shape(
        _PLAIN + "CREATE TABLE c (more int) INHERITS (t);"
        "INSERT INTO c SELECT i, 'c' || i, NULL, i FROM generate_series(15, 30) AS i;",
        _SET,
        "(SELECT bool_and(b = upper(a)) AND count(*) = 36 FROM t)",
        keeps=False,
    ),
    "only": Shape(
        _PLAIN + "CREATE TABLE c (more int) INHERITS (t);"
        "INSERT INTO c SELECT i, 'c' || i, NULL, i FROM generate_series(15, 30) AS i;",
        "UPDATE ONLY t SET b = upper(a) WHERE b IS NULL",
        "(SELECT bool_and(b = upper(a)) AND count(*) = 20 FROM ONLY t)"
        " AND (SELECT bool_and(b IS NULL) FROM c)",
        keeps=False,
    ),
    "alias": Shape(
        _PLAIN,
        'UPDATE t AS "The t" SET b = upper("The t".a) WHERE "The t".b IS NULL',
        _DONE,
    ),
    "once": Shape(_COUNTED, "UPDATE t SET n = n + 1", _ONCE, keeps=False),
    "once_with_a_null": Shape(
        _COUNTED,
        "UPDATE t SET n = coalesce(n, 0) + 1 WHERE id > 5",
        "(SELECT bool_and(n = (id > 5)::int) FROM t)",
        keeps=False,
    ),
    "coalesced": Shape(
        filled("id int PRIMARY KEY, a text, b text", "i, 'a' || i, CASE WHEN i < 5 THEN 'own' END"),
        "UPDATE t SET b = COALESCE(t.b, upper(a))",
        "(SELECT bool_and(b = CASE WHEN id < 5 THEN 'own' ELSE upper(a) END) FROM t)",
    ),
    "now": Shape(
        filled("id int PRIMARY KEY, at timestamptz", "i, NULL"),
        "UPDATE t SET at = now() WHERE at IS NULL",
        "(SELECT bool_and(at IS NOT NULL) FROM t)",
    ),
    "now_for_all": Shape(
        filled("id int PRIMARY KEY, at timestamptz, n int DEFAULT 0", "i, '2020-01-01'"),
        "UPDATE t SET at = CURRENT_TIMESTAMP",
        "(SELECT bool_and(at > '2021-01-01') FROM t)",
    ),
    "volatile": Shape(
        filled("id int PRIMARY KEY, token uuid", "i, NULL"),
        "UPDATE t SET token = gen_random_uuid() WHERE token IS NULL",
        "(SELECT count(DISTINCT token) = 20 FROM t)",
        keeps=False,
    ),
}
