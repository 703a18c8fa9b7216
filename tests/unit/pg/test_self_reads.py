"""Which updates read what they set from other rows of their own table."""

import pytest

from pgstrata.pg.batch_statement import read_batch_statement
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.self_reads import deletes_by_others, reads_targets, relations_read

OWN = {RelationRef(None, "t")}


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("UPDATE t SET a = b WHERE a IS NULL", None),
        ("UPDATE t SET a = o.a FROM o WHERE o.id = t.id AND t.a IS NULL", None),
        ("UPDATE t SET a = p.b FROM t p WHERE p.id = t.p AND t.a IS NULL", None),
        ("UPDATE t SET a = (SELECT max(p.b) FROM t p WHERE p.id < t.id) WHERE t.a IS NULL", None),
        ("UPDATE t SET a = (SELECT count(*) FROM t p WHERE p.id < t.id)", None),
        ("UPDATE t SET a = 1 WHERE EXISTS (SELECT * FROM t p WHERE p.id = t.p)", None),
        ("UPDATE t SET a = (SELECT max(a) FROM o) FROM t p WHERE p.id = t.id", None),
        ("UPDATE t SET a = (SELECT max(a) FROM t)", ""),
        ("UPDATE t SET a = (SELECT max(t.a) FROM t)", ""),
        ("UPDATE t SET a = (SELECT p.a FROM t p WHERE p.id = t.p)", ""),
        ("UPDATE t SET a = p.a FROM t p WHERE p.id = t.p", ""),
        ("UPDATE t SET a = p.b FROM o JOIN t p ON p.id = o.id WHERE p.a > 1", ""),
        ("UPDATE t SET b = p.c FROM (SELECT id, a + b AS c FROM t) p WHERE p.id = t.id", ""),
        ("UPDATE t SET a = p.a FROM (SELECT * FROM t) p WHERE p.id = t.id", ""),
        ("UPDATE t SET a = to_jsonb(p) FROM t p WHERE p.id = t.id", ""),
        ("UPDATE t SET a = to_jsonb(p.*) FROM t p WHERE p.id = t.id", ""),
        ("UPDATE t SET a = 1 WHERE NOT EXISTS (SELECT FROM s.t p WHERE p.a = t.b)", "s"),
        ("UPDATE t SET a = q.m FROM (WITH q AS (SELECT a m FROM t) SELECT m FROM q) q", ""),
    ],
)
def test_what_is_read_of_the_same_name(text: str, reads: str | None) -> None:
    read = read_batch_statement(text)
    own = {RelationRef(reads or None, "t")}
    assert reads_targets(read.parsed.node, read.targets, own) == (reads is not None)


@pytest.mark.parametrize(
    ("where", "is_harmless"),
    [
        ("a < 1", True),
        ("a IN (SELECT a FROM o ORDER BY a LIMIT 5)", True),
        ("EXISTS (SELECT * FROM t p WHERE p.a = t.a AND p.id < t.id) AND b", True),
        ("EXISTS (SELECT FROM o JOIN t p ON p.id = o.id)", True),
        ("EXISTS (SELECT FROM o LEFT JOIN t p ON p.id = o.id WHERE p.id IS NULL)", False),
        ("EXISTS (SELECT FROM t p LIMIT 1 OFFSET 5)", False),
        ("EXISTS (SELECT FROM t p HAVING count(*) < 5)", False),
        ("EXISTS (SELECT min(a) FROM t p WHERE p.id < 5)", False),
        ("EXISTS (SELECT FROM o WHERE NOT EXISTS (SELECT FROM t p WHERE p.id = o.id))", False),
        ("EXISTS (SELECT FROM o EXCEPT SELECT FROM t p)", False),
        ("NOT EXISTS (SELECT FROM t p WHERE p.parent = t.id)", False),
        ("b OR EXISTS (SELECT FROM t p WHERE p.parent = t.id)", False),
        ("id IN (SELECT id FROM t ORDER BY id LIMIT 5)", False),
        ("id NOT IN (SELECT min(id) FROM t GROUP BY a)", False),
        ("a < (SELECT avg(a) FROM t)", False),
    ],
)
def test_a_delete_that_other_rows_decide_about(where: str, is_harmless: bool) -> None:
    read = read_batch_statement(f"DELETE FROM t WHERE {where}")
    assert deletes_by_others(read.parsed.node, OWN) != is_harmless


def test_a_delete_by_a_table_beside_it() -> None:
    using = "DELETE FROM t USING {} WHERE p.id < t.id"
    assert not deletes_by_others(read_batch_statement(using.format("t p")).parsed.node, OWN)
    assert deletes_by_others(read_batch_statement(using.format("(TABLE t) p")).parsed.node, OWN)


def test_the_relations_that_are_read() -> None:
    text = "UPDATE s.t SET a = 1 FROM o JOIN t ON true WHERE t.a IN (SELECT b FROM s.{})"
    others = {RelationRef(None, "o"), RelationRef(None, "t")}
    for name in ("t", "p"):
        read = read_batch_statement(text.format(name))
        assert relations_read(read.parsed.node) == others | {RelationRef("s", name)}
