"""What is printed again says what was read."""

import pytest

from pgstrata.pg.printing import PrintedOtherwise, rewrite
from pgstrata.pg.syntax import parse_statement


def test_editing_leaves_the_parsed_tree_as_it_was() -> None:
    parsed = parse_statement("CREATE INDEX i ON t (a)")

    def edit(index: object) -> None:
        index.idxname = "j"  # type: ignore[attr-defined]  # a protobuf message

    assert rewrite(parsed, edit) == "CREATE INDEX j ON t USING btree (a)"
    assert parsed.node.idxname == "i"


def printed(condition: str) -> str:
    return rewrite(parse_statement(f"SELECT 1 WHERE {condition}"), lambda node: None)


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("(p OR q) IS NULL", "(p OR q)::boolean IS NULL"),
        ("(NOT p) IS NULL", "(NOT p)::boolean IS NULL"),
        ("(p AND q) IS NOT NULL", "(p AND q)::boolean IS NOT NULL"),
        ("p IS NOT DISTINCT FROM (q OR p)", "p IS NOT DISTINCT FROM (q OR p)::boolean"),
        ("(a IS DISTINCT FROM b) IS NOT TRUE", "(a IS DISTINCT FROM b)::boolean IS NOT TRUE"),
        ("(a = b) IN (true, p OR q)", "(a = b)::boolean IN (true, (p OR q)::boolean)"),
        ("p BETWEEN (q OR p) AND true", "p BETWEEN (q OR p)::boolean AND true"),
        ("(p AND q) AND r", "p AND q AND r"),
        ("(p OR q) AND NOT (p AND q)", "(p OR q) AND NOT (p AND q)"),
        ("(a + b) * 2 - (a - b) = 0", "(((a + b) * 2) - (a - b)) = 0"),
    ],
)
def test_operands_keep_their_parentheses(condition: str, expected: str) -> None:
    assert printed(condition) == f"SELECT 1 WHERE {expected}"


def test_what_the_printer_cannot_say_is_refused() -> None:
    with pytest.raises(PrintedOtherwise, match="as CASE WHEN"):
        printed("r = (j IS JSON)")
