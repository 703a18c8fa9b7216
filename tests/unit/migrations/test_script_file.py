"""What a file says: places, sections of other tools, directives, what is refused."""

import pytest

from pgstrata.core.errors import MigrationFailed
from tests.testbed.migration_files import file


def test_a_place_counts_lines_and_columns_of_the_file() -> None:
    read = file("1_a.sql", "-- ä\n\n  SELECT 1;\n\n  SELECT\n    2;\n")
    second = read.statements[1]
    assert read.place(second) == "1_a.sql:5:3"
    assert read.place(second, position=len("SELECT\n    2")) == "1_a.sql:6:5"


@pytest.mark.parametrize(
    ("text", "statements", "outside"),
    [
        pytest.param(
            "-- migrate:up\nSELECT 1;\n-- migrate:down\nSELECT 2;", ["SELECT 1"], False, id="dbmate"
        ),
        pytest.param(
            "-- migrate:up transaction:false\nSELECT 1;\n", ["SELECT 1"], True, id="dbmate outside"
        ),
        pytest.param(
            "-- +goose Up\n-- +goose StatementBegin\nSELECT 1;\n-- +goose StatementEnd\n"
            "-- +goose Down\nSELECT 2;",
            ["SELECT 1"],
            False,
            id="goose",
        ),
        pytest.param(
            "-- +goose NO TRANSACTION\n-- +goose Up\nSELECT 1;", ["SELECT 1"], True, id="goose out"
        ),
        pytest.param("SELECT 1;\nSELECT 2", ["SELECT 1", "SELECT 2"], False, id="plain"),
    ],
)
def test_sections_of_other_tools_are_found(text: str, statements: list[str], outside: bool) -> None:
    read = file("20240101_a.sql", text)
    assert [s.text for s in read.statements] == statements
    assert read.no_transaction is outside


def test_a_section_keeps_the_lines_of_its_file() -> None:
    read = file("20240101_a.sql", "-- about\n-- migrate:up\n\nSELECT 1;\n-- migrate:down\n")
    assert read.place(read.statements[0]) == "20240101_a.sql:4:1"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("\\connect other", r"1_a.sql:1:1: \\connect is a command of psql"),
        ("SELECT 1;\nSET ROLE other;", "1_a.sql:2:1"),
        ("SET lock_timeout = 0;", "1_a.sql:1:1"),
        ("SELECT 'open", "1_a.sql:1:8"),
        (
            "SELECT 1;\n-- pgstrata: batch key=id\nINSERT INTO t VALUES (1);",
            "1_a.sql:2:1.*UPDATE or",
        ),
        ("-- pgstrata: batch key=id\nDROP TABLE t;", "1_a.sql:1:1.*UPDATE or a DELETE"),
        ("-- pgstrata: batch size=0\nUPDATE t SET a = 1;", "1_a.sql:1:1.*from 1 to 100000"),
        ("-- pgstrata: batch keys=id\nUPDATE t SET a = 1;", "1_a.sql:1:1.*keys=id is none of"),
        ("-- pgstrata: batch keep=yes\nUPDATE t SET a = 1;", "auto, always or never, not yes"),
        ("-- pgstrata: batch key=a,\nUPDATE t SET a = 1;", "key is a list of columns"),
        ("-- pgstrata: batch key=a key=b\nUPDATE t SET a = 1;", "key is given twice"),
        ("-- pgstrata: batch\n-- pgstrata: batch\nUPDATE t SET a = 1;", "1_a.sql:2:1.*two batch"),
        ("UPDATE t SET a = 1;\n-- pgstrata: batch", "1_a.sql:2:1.*no statement stands below"),
        ("-- pgstrata: batch\nUPDATE t SET a = 1 RETURNING a;", "1_a.sql:1:1.*RETURNING"),
        ("-- pgstrata: batch\nWITH x AS (SELECT 1) UPDATE t SET a = 1;", "1_a.sql:1:1.*sub-select"),
        ("-- pgstrata: batch\nUPDATE t\nSET a = 1 WHER b;", '1_a.sql:3:11: .*"WHER" .*42601'),
        ("SELECT 1;\n-- pgstrata: no-transactions", "1_a.sql:2:1: unknown directive"),
        ("-- pgstrata: Batch\nUPDATE t SET a = 1;", "1_a.sql:1:1: unknown directive Batch"),
        ("-- pgstrata batch key=id\nUPDATE t SET a = 1;", "1_a.sql:1:1: a directive is -- pgst"),
        ("-- PGSTRATA: batch keys=id\nUPDATE t SET a = 1;", "1_a.sql:1:1.*keys=id is none of"),
        ("SELECT 1;\nUPDATE t\n-- pgstrata: batch\nSET a = 1;", "1_a.sql:3:1.*above its statement"),
        ("UPDATE t SET a = 1 -- pgstrata: batch\n;", "1_a.sql:1:1.*above its statement"),
        ("SELECT 1; -- pgstrata: batch\nUPDATE t SET a = 1;", "1_a.sql:1:1.*above its statement"),
        ("UPDATE t /* pgstrata: batch */ SET a = 1;", "1_a.sql:1:1.*above its statement"),
        ("\n/* pgstrata: batch */ UPDATE t SET a = 1;", "1_a.sql:2:1.*above its statement"),
    ],
)
def test_what_cannot_be_run_is_refused_with_its_place(text: str, says: str) -> None:
    with pytest.raises(MigrationFailed, match=says):
        file("1_a.sql", text)


def test_words_that_only_look_like_directives_are_let_be() -> None:
    read = file(
        "1_a.sql",
        "-- pgstrata batches are small\n-- see pgstrata: batch\n/* as pgstrata: batch does */\n"
        "COPY t FROM stdin;\n-- pgstrata: batch\n/* pgstrata: batch\n\\.\n"
        "DO $$ begin -- pgstrata: batch\n end $$;\nSELECT '/* pgstrata: batch';",
    )
    assert [s.batch for s in read.statements] == [None, None, None]


def test_what_pg_dump_frames_its_scripts_with_is_passed_over() -> None:
    read = file("1_a.sql", "\\restrict abc\nSELECT 1;\n\\unrestrict abc\n")
    assert [s.text for s in read.statements] == ["SELECT 1"]
