"""How an UPDATE or DELETE is taken apart, and put together again."""

import pytest

from pgstrata.pg.batch_statement import (
    BatchStatement,
    NotBatchable,
    conjunction,
    read_batch_statement,
)
from pgstrata.pg.calls import calls_of
from pgstrata.pg.lock_modes import RelationRef


def test_an_update_in_parts() -> None:
    read = read_batch_statement(
        'UPDATE ONLY app."T" AS x SET a = lower(b), "C" = 1 + o.c FROM o JOIN p USING (id), q '
        "WHERE x.id = o.id AND (a IS NULL OR b = 1) AND (b > 2 AND c < 3)"
    )
    assert read.table == RelationRef("app", "T")
    assert read.alias == "x"
    assert read.table_text == 'ONLY app."T" x'
    assert read.others == "o JOIN p USING (id), q"
    assert read.targets == ("a", "C")
    assert read.expressions == ("lower(b)", "1 + o.c")
    assert read.conditions == ("x.id = o.id", "a IS NULL OR b = 1", "b > 2", "c < 3")
    assert not read.is_delete


def test_a_delete_in_parts() -> None:
    read = read_batch_statement("DELETE FROM t USING o WHERE o.id = t.id")
    assert read.is_delete
    assert read.alias == "t"
    assert read.others == "o"
    assert read.targets == ()
    assert read.count_violations() == "SELECT count(*) FROM t, o WHERE (o.id = t.id)"


@pytest.mark.parametrize(
    ("assignments", "targets", "expressions"),
    [
        ("(a, b) = ROW(1, x)", ("a", "b"), ("1", "x")),
        ("(a, b) = (1, x), c = 2", ("a", "b", "c"), ("1", "x", "2")),
        ("(a, b) = (SELECT 1, 2)", ("a", "b"), None),
        ("(a, b) = (1, DEFAULT)", ("a", "b"), None),
        ("a = DEFAULT, b = 1", ("a", "b"), None),
        ("a[1] = 2, b = 1", ("a", "b"), None),
        ("a.x = 2", ("a",), None),
        ("a = (SELECT 1)", ("a",), ("(SELECT 1)",)),
        ("a = CASE WHEN b THEN 'it''s' END", ("a",), ("CASE WHEN b THEN 'it''s' END",)),
    ],
)
def test_what_is_set(
    assignments: str, targets: tuple[str, ...], expressions: tuple[str, ...] | None
) -> None:
    read = read_batch_statement(f"UPDATE t SET {assignments}")
    assert read.targets == targets
    assert read.expressions == expressions


@pytest.mark.parametrize(
    ("expression", "inputs"),
    [
        ("COALESCE(a, b, c)", ("b", "c")),
        ("COALESCE(t.a, b)", ("b",)),
        ("COALESCE(b, a)", ("COALESCE(b, a)",)),
        ("COALESCE(a + 1, b)", ("COALESCE(a + 1, b)",)),
        ("COALESCE(o.a, b)", ("COALESCE(o.a, b)",)),
        ("COALESCE(a, a)", ("a",)),
        ("COALESCE(a)", ()),
        ("a || 'x'", ("a || 'x'",)),
    ],
)
def test_what_a_value_is_made_of(expression: str, inputs: tuple[str, ...]) -> None:
    """COALESCE of the column itself and more is done twice as if once."""
    assert read_batch_statement(f"UPDATE t SET a = {expression}").inputs == inputs


@pytest.mark.parametrize(
    ("expression", "names_it"),
    [
        ("to_jsonb(t)", True),
        ("(t.*)::text", True),
        ("t::text", True),
        ("(SELECT t FROM o)", True),
        ("t.a", False),
        ("(SELECT count(*) FROM o)", False),
        ("(SELECT o.* FROM o)", False),
        ("'t'", False),
    ],
)
def test_whether_the_row_is_named_as_a_whole(expression: str, names_it: bool) -> None:
    assert read_batch_statement(f"UPDATE t SET a = {expression}").names_its_row == names_it
    assert read_batch_statement(f"DELETE FROM t WHERE {expression} IS NULL").names_its_row == (
        names_it
    )


@pytest.mark.parametrize(
    ("expression", "time", "user"),
    [
        ("CURRENT_TIMESTAMP", True, False),
        ("CURRENT_DATE + 1", True, False),
        ("LOCALTIME", True, False),
        ("CURRENT_USER", False, True),
        ("SESSION_USER", False, True),
        ("CURRENT_SCHEMA", False, True),
        ("now()", False, False),
    ],
)
def test_what_is_asked_of_the_moment(expression: str, time: bool, user: bool) -> None:
    text = f"UPDATE t SET a = {expression}"
    assert calls_of(text).asks_time == time
    assert read_batch_statement(text).asks_user == user


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("UPDATE t SET a = 1", "UPDATE t SET a = 1 WHERE id > 5"),
        ("UPDATE t SET a = 1 WHERE b OR c", "UPDATE t SET a = 1 WHERE (b OR c) AND id > 5"),
        ("DELETE FROM t WHERE b AND c", "DELETE FROM t WHERE (b AND c) AND id > 5"),
        ("DELETE FROM t WHERE NOT b", "DELETE FROM t WHERE NOT b AND id > 5"),
    ],
)
def test_one_condition_more(text: str, whole: str) -> None:
    assert read_batch_statement(text).within("id > 5") == whole


def test_what_would_still_change_is_counted_as_the_columns_hold_it() -> None:
    read = read_batch_statement("UPDATE t AS x SET a = b / 3, c = 'y' WHERE d")
    assert read.count_violations(["numeric(10,2)", "text"]) == (
        'SELECT count(*) FILTER (WHERE ROW("x"."a", "x"."c")::record '
        "OPERATOR(pg_catalog.*<>) "
        "ROW(CAST(b / 3 AS numeric(10,2)), CAST('y' AS text))::record), count(*) FROM t x WHERE (d)"
    )
    assert read.count_violations() == "SELECT count(*) FROM t x WHERE (d)"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("INSERT INTO t VALUES (1)", "only an UPDATE or a DELETE"),
        ("SELECT 1", "only an UPDATE or a DELETE"),
        ("WITH o AS (SELECT 1) UPDATE t SET a = 1", "WITH is evaluated anew"),
        ("UPDATE t SET a = 1 RETURNING a", "RETURNING"),
        ("DELETE FROM t RETURNING *", "RETURNING"),
        ("UPDATE t SET a = 1 WHERE CURRENT OF c", "CURRENT OF"),
    ],
)
def test_what_cannot_be_run_in_batches(text: str, says: str) -> None:
    with pytest.raises(NotBatchable, match=says):
        read_batch_statement(text)


def test_the_functions_of_an_expression() -> None:
    assert calls_of("SELECT md5(random()::text)").functions == {"md5", "random"}
    assert calls_of("SELECT 'now()'::text").functions == set()


def test_no_condition_holds_everywhere() -> None:
    assert conjunction(()) == "true"
    assert conjunction(("a OR b", "c")) == "(a OR b) AND (c)"


def test_the_parts_are_those_of_the_whole() -> None:
    """Texts are printed anew by the parser: taken apart again they are the same."""
    text = "UPDATE t SET a = (b -> 'x'), c = d::numeric(5,1) WHERE e ~ E'\\\\d' AND f = ANY('{1}')"
    once = read_batch_statement(text)
    again: BatchStatement = read_batch_statement(once.within("true"))
    assert again.expressions == once.expressions
    assert again.conditions == (*once.conditions, "true")
