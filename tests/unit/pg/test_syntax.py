"""The parser's door: positions in characters, and nothing that a text can do to the process."""

import subprocess
import sys

import pytest

from pgstrata.pg.syntax import (
    MAX_CHAIN,
    StatementTooDeep,
    SyntaxProblem,
    parse_statement,
    print_tree,
)


def chain(terms: int) -> str:
    return "SELECT " + "||".join(["a"] * terms)


@pytest.mark.parametrize(
    ("text", "message", "offset"),
    [
        pytest.param("SELECT 1 FORM x", 'syntax error at or near "x"', 15, id="plain"),
        pytest.param("SELECT 'äöü€😀' FORM x", 'syntax error at or near "x"', 21, id="characters"),
        pytest.param("SELECT 'ä', 'x", "unterminated quoted string", 13, id="scanner, characters"),
        pytest.param("SELECT (", "syntax error at end of input", 9, id="at the end"),
        pytest.param("", "there is no statement", 1, id="empty"),
        pytest.param("-- c", "there is no statement", 1, id="a comment"),
        pytest.param("SELECT 'ä'; SELECT 2", "more than one statement", 13, id="two statements"),
        pytest.param("SELECT 1\0; DROP TABLE t", "NUL byte", 9, id="what PostgreSQL would not see"),
    ],
)
def test_a_syntax_error_has_postgresqls_message_and_a_position_in_characters(
    text: str, message: str, offset: int
) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_statement(text)
    assert message in str(caught.value)
    assert caught.value.offset == offset


def test_expressions_far_deeper_than_protobufs_own_limit_are_parsed_and_printed() -> None:
    parsed = parse_statement(chain(900))
    assert print_tree(parsed.tree).count("||") == 899
    assert parse_statement(chain(MAX_CHAIN)).kind == "select_stmt"


def test_a_statement_that_would_overflow_the_printers_stack_is_not_printed() -> None:
    with pytest.raises(StatementTooDeep):
        print_tree(parse_statement(chain(4_000)).tree)


DEEP = {
    "operators": chain(100_000),
    "minus": "SELECT " + "-".join(["1"] * 50_000),
    "casts": "SELECT 1" + "::int" * 50_000,
    "IS NULL": "SELECT a" + " IS NULL" * 50_000,
    "IN": "SELECT a" + " NOT IN (1)" * 50_000,
    "collations": "SELECT a" + ' COLLATE "C"' * 50_000,
    "time zones": "SELECT a" + " AT TIME ZONE 'x'" * 50_000,
    "unions": " UNION ALL ".join(["SELECT 1, 2"] * 60_000),
    "joins": "SELECT 1 FROM t" + " JOIN t ON true" * 50_000,
    "parentheses": "SELECT " + "(" * 50_000 + "1" + ")" * 50_000,
    "chains in chains": "SELECT " + f"({chain(3_000)[7:]} || " * 6 + "b" + ")" * 6,
    "between strings that end in a backslash": f"SELECT '\\' || {chain(50_000)[7:]} || 'x'",
    "behind an E string of two lines": f"SELECT E'a'\n'b\\'' || {chain(50_000)[7:]} || 'x'",
    "behind a comment": f"SELECT /* /* ' */ ' */ {chain(50_000)[7:]} || 'x'",
    "behind dollars": f"SELECT a$b$, {chain(50_000)[7:]} AS a$b$",
    "behind a string": "SELECT 'it''s' || $x$ ( $x$ || " + chain(100_000)[7:],
}


@pytest.mark.parametrize("name", DEEP)
def test_no_text_ends_the_process(name: str) -> None:
    """In a process of its own: a failure of this test would be a segmentation fault."""
    program = (
        "import sys\n"
        "from pgstrata.pg.syntax import SyntaxProblem, parse_statement\n"
        "try:\n    parse_statement(sys.stdin.read())\n"
        "except SyntaxProblem as problem:\n    print(problem)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program],
        input=DEEP[name],
        text=True,
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "nested in one another" in run.stdout or "memory exhausted" in run.stdout


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "INSERT INTO t VALUES " + ", ".join(["(1 + 2, -3, a::text, now() - b)"] * 5_000),
            id="many rows",
        ),
        pytest.param("SELECT " + ", ".join(["a + 1"] * 6_000), id="many columns"),
        pytest.param(
            "SELECT 1 WHERE " + " OR ".join(["a = 1 AND b = 2"] * 10_000), id="many conditions"
        ),
        pytest.param("SELECT '" + "a||b" * 10_000 + "'", id="operators in a string"),
        pytest.param(f"DO $x$ {'a||b;' * 10_000} $x$", id="operators in a body"),
    ],
)
def test_long_flat_statements_are_understood(text: str) -> None:
    assert parse_statement(text).text == text


def test_the_parser_is_loaded_at_its_first_use_only() -> None:
    program = (
        "import sys, pgstrata.pg.classify, pgstrata.pg.index_shape\n"
        "print('postgast' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], text=True, capture_output=True, check=True
    )
    assert run.stdout.strip() == "False"
