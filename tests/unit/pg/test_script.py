"""Scripts are cut as psql cuts them; every case here has cost somebody a migration."""

import time

import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from pgstrata.pg.script import (
    Comment,
    ItemKind,
    ScriptError,
    ScriptItem,
    checksum,
    file_checksum,
    read_script,
    split_script,
)

RULE = (
    "CREATE RULE r AS ON INSERT TO t DO ALSO (INSERT INTO a VALUES (NEW.id); "
    "INSERT INTO b VALUES (NEW.id);)"
)
ATOMIC = """CREATE OR REPLACE FUNCTION f(a int) RETURNS int
BEGIN ATOMIC
  INSERT INTO t VALUES (a);
  SELECT CASE WHEN a > 0 THEN 1 ELSE 0 END;
END"""
PROCEDURE = "CREATE PROCEDURE p(begin int) BEGIN ATOMIC DELETE FROM t; END"
DOLLAR = "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $body$ SELECT 1; SELECT $$a;b$$; $body$"


@pytest.mark.parametrize(
    ("script", "texts"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" ;; ; -- c\n ;", [], id="empty statements"),
        pytest.param("SELECT 1; SELECT 2;", ["SELECT 1", "SELECT 2"], id="two on one line"),
        pytest.param("SELECT 1;\nSELECT 2", ["SELECT 1", "SELECT 2"], id="no final semicolon"),
        pytest.param("SELECT 1;\n-- the end", ["SELECT 1"], id="comment at the end"),
        pytest.param("SELECT 1 -- a; b\n;", ["SELECT 1"], id="comment before the semicolon"),
        pytest.param(
            "/* a /* b; */ ; c */ SELECT /* ; /* ; */ ; */ 1;",
            ["SELECT /* ; /* ; */ ; */ 1"],
            id="nested comments",
        ),
        pytest.param("SELECT 'a;b''c;'; SELECT 2", ["SELECT 'a;b''c;'", "SELECT 2"], id="string"),
        pytest.param(
            r"SELECT E'a\';b', 'a\'; SELECT 2",
            [r"SELECT E'a\';b', 'a\'", "SELECT 2"],
            id="E string",
        ),
        pytest.param(
            "SELECT E'a''\\';b'; SELECT 2",
            ["SELECT E'a''\\';b'", "SELECT 2"],
            id="E string, doubled",
        ),
        pytest.param(
            "SELECT a[1;2]; SELECT 2", ["SELECT a[1", "2]", "SELECT 2"], id="brackets hold nothing"
        ),
        pytest.param(
            "SELECT 1 +-- ;\n2 */* ; */ 3; SELECT 2",
            ["SELECT 1 +-- ;\n2 */* ; */ 3", "SELECT 2"],
            id="comments right behind operators",
        ),
        pytest.param(
            "SELECT E'a' -- goes on\n 'b\\';c'; SELECT 2",
            ["SELECT E'a' -- goes on\n 'b\\';c'", "SELECT 2"],
            id="an E string goes on in the next line",
        ),
        pytest.param(
            'SELECT ";""" FROM "a;b"; SELECT 2',
            ['SELECT ";""" FROM "a;b"', "SELECT 2"],
            id="quoted identifiers",
        ),
        pytest.param(f"{DOLLAR}; SELECT 2", [DOLLAR, "SELECT 2"], id="dollar quotes, nested"),
        pytest.param(
            "SELECT $1, a$b$c; SELECT $é$;$é$",
            ["SELECT $1, a$b$c", "SELECT $é$;$é$"],
            id="dollars that quote nothing",
        ),
        pytest.param(f"{ATOMIC};\nSELECT 2;", [ATOMIC, "SELECT 2"], id="BEGIN ATOMIC with CASE"),
        pytest.param(
            f"{PROCEDURE}; SELECT 2", [PROCEDURE, "SELECT 2"], id="BEGIN ATOMIC procedure"
        ),
        pytest.param(
            "BEGIN; CREATE TABLE function (a int); END; SELECT 2",
            ["BEGIN", "CREATE TABLE function (a int)", "END", "SELECT 2"],
            id="BEGIN and END of a transaction",
        ),
        pytest.param(f"{RULE}; SELECT 2", [RULE, "SELECT 2"], id="rule with parentheses"),
        pytest.param("SELECT 1); SELECT (2;3);", ["SELECT 1)", "SELECT (2;3)"], id="unbalanced )"),
        pytest.param(
            "\\restrict x;y\nSELECT 1;\n\\unrestrict x",
            ["\\restrict x;y", "SELECT 1", "\\unrestrict x"],
            id="backslash commands of pg_dump",
        ),
        pytest.param(
            "SELECT 1 \\gexec\nSELECT 2;", ["SELECT 1", "\\gexec", "SELECT 2"], id="\\gexec ends it"
        ),
        pytest.param(
            "SELECT 'ä;ö' AS größe; SELECT 2",
            ["SELECT 'ä;ö' AS größe", "SELECT 2"],
            id="letters beyond ASCII",
        ),
        pytest.param("\ufeffSELECT 1;", ["SELECT 1"], id="byte order mark"),
        pytest.param("SELECT 1;\r\nSELECT\r\n2\r\n;\r\n", ["SELECT 1", "SELECT\r\n2"], id="CRLF"),
        pytest.param(
            "SELECT 1--2;\n+3;", ["SELECT 1--2;\n+3"], id="a comment right behind a number"
        ),
    ],
)
def test_a_script_is_cut_where_psql_cuts_it(script: str, texts: list[str]) -> None:
    assert [item.text for item in split_script(script)] == texts


def test_copy_data_belong_to_their_statement() -> None:
    data = "1\t;'\"$$ \\\\.\n\\\\.\n2\t-- no comment\n"
    script = f"COPY t (a, b) FROM stdin;\n{data}\\.\nSELECT 1;"
    copy, after = split_script(script)
    assert (copy.text, copy.copy_data) == ("COPY t (a, b) FROM stdin", data)
    assert (after.text, after.copy_data, after.line) == ("SELECT 1", None, 6)


@pytest.mark.parametrize(
    ("script", "data"),
    [
        pytest.param("COPY t FROM STDIN;\n\\.\n", "", id="no rows"),
        pytest.param("COPY t FROM STDIN;\r\n1\r\n\\.\r\nSELECT 1;", "1\r\n", id="CRLF"),
        pytest.param("copy t from stdin; -- rows\n1\n\\.", "1\n", id="comment behind it"),
        pytest.param("COPY t FROM '/f';", None, id="from a file"),
        pytest.param('COPY "FROM" TO STDIN;', None, id="a table named FROM"),
        pytest.param("COPY (SELECT a FROM stdin) TO stdout;", None, id="a table named stdin"),
        pytest.param("SELECT * FROM stdin;", None, id="a query of a table named stdin"),
        pytest.param("COPY t FROM STDIN", None, id="without a semicolon nothing follows"),
    ],
)
def test_only_copy_from_stdin_has_data(script: str, data: str | None) -> None:
    assert split_script(script)[0].copy_data == data


def test_positions_are_those_of_an_editor() -> None:
    script = "-- ä\r\nSELECT 1;\n\n  /* ö\n */ SELECT 'ü'; SELECT 3;\n\\echo x\n"
    items = split_script(script)
    assert [(item.line, item.column) for item in items] == [(2, 1), (5, 5), (5, 17), (6, 1)]
    assert all(script[item.start : item.end] == item.text for item in items)
    assert [item.kind for item in items] == [ItemKind.SQL] * 3 + [ItemKind.META]


def test_comments_stand_with_the_statement_behind_them() -> None:
    script = (
        "-- pgstrata: barrier\r\n\n--  pgstrata: batch key=id  \nUPDATE t -- inside\n SET a = 1;\n"
        "SELECT 1; -- behind\n/* no */ SELECT 2;\n-- last"
    )
    update, plain, commented = (item.leading for item in split_script(script))
    assert update == (Comment("pgstrata: barrier", 1), Comment("pgstrata: batch key=id", 3))
    assert (plain, commented) == ((), (Comment("behind", 6),))
    assert read_script(script).trailing == (Comment("last", 8),)


@pytest.mark.parametrize(
    ("script", "message", "line", "column"),
    [
        pytest.param("SELECT 1;\n  SELECT 'a''b", "unterminated string", 2, 10, id="string"),
        pytest.param("SELECT E'a\\'", "unterminated string", 1, 8, id="E string"),
        pytest.param('SELECT "a""', "unterminated identifier", 1, 8, id="identifier"),
        pytest.param("ä /* /* */", "unterminated /* comment", 1, 3, id="comment"),
        pytest.param("SELECT\n$x$ $y$", "unterminated $x$ quote", 2, 1, id="dollar quote"),
        pytest.param("SELECT 1;\nSEL\0ECT", "NUL byte", 2, 4, id="NUL"),
        pytest.param(
            "\n COPY t FROM STDIN;\n1\n", "without a \\. line", 2, 2, id="COPY without end"
        ),
        pytest.param(
            "COPY t FROM STDIN; SELECT 1;\n\\.\n", "nothing may follow", 1, 1, id="COPY; x"
        ),
    ],
)
def test_an_error_says_where(script: str, message: str, line: int, column: int) -> None:
    with pytest.raises(ScriptError) as caught:
        split_script(script)
    assert message in str(caught.value)
    assert (caught.value.line, caught.value.column) == (line, column)


def test_line_ends_and_byte_order_marks_do_not_change_a_checksum() -> None:
    assert checksum("a\r\nb\rc") == checksum("a\nb\nc") != checksum("a\nb c")
    assert file_checksum("\ufeffa\r\n") == file_checksum("a\n")
    assert checksum("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


PIECES = st.sampled_from(
    [
        "SELECT 1",
        "'a;b'",
        "E'\\''",
        '"q;"',
        "$$;$$",
        "/* ; */",
        "-- ;\n",
        ";",
        "\n",
        "\r\n",
        " ",
        "(",
        ")",
        "a",
        "ä",
        "\\x\n",
        "1",
        "+",
        "$1",
        "CREATE FUNCTION f",
        "BEGIN",
        "END",
        "CASE",
    ]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@settings(max_examples=150)
def test_nothing_but_blanks_comments_and_semicolons_is_lost(script: str) -> None:
    end = 0
    for item in items_unless_refused(script):
        assert_nothing_of_meaning(script[end : item.start])
        assert script[item.start : item.end] == item.text != ""
        end = item.end
    assert_nothing_of_meaning(script[end:])


def items_unless_refused(script: str) -> tuple[ScriptItem, ...]:
    """Pieces side by side can leave a quote open: `f$$;$$` is the word `f$$`, then a `$$`."""
    try:
        return split_script(script)
    except ScriptError:
        reject()


def assert_nothing_of_meaning(between: str) -> None:
    lines = between.replace("/* ; */", "").split("\n")
    assert "".join(line.partition("--")[0] for line in lines).strip("; \r\n") == ""


@given(st.lists(PIECES, max_size=30).map("".join))
def test_a_statement_alone_is_cut_as_it_was_among_others(script: str) -> None:
    for item in items_unless_refused(script):
        assert [again.text for again in split_script(item.text)] == [item.text]


def test_a_dump_of_megabytes_takes_seconds_at_most() -> None:
    table = "CREATE TABLE t (a int, b text DEFAULT 'x;y'); -- c\nCOPY t FROM stdin;\n1\t;\n\\.\n"
    script = table * 8_000 + "SELECT '" + "x''" * 1_000_000 + "'"
    started = time.monotonic()
    items = split_script(script)
    assert time.monotonic() - started < 10
    assert (len(items), items[-2].line) == (16_001, 4 * 7_999 + 2)
