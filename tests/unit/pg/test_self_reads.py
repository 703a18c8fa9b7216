"""Which updates read what they set from other rows of their own table."""

import pytest

from pgstrata.pg.batch_statement import read_batch_statement
from pgstrata.pg.lock_modes import RelationRef
from pgstrata.pg.self_reads import self_reads


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
    expected = set() if reads is None else {RelationRef(reads or None, "t")}
    assert self_reads(read.parsed.node, read.targets) == expected
