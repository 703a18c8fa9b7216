"""The pure parts of a backfill: its directive, the size of its batches, its ranges of blocks."""

from collections.abc import Sequence
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgstrata.migrations.backfill.directive import BatchOptions, Keep, read_batch_options
from pgstrata.migrations.backfill.pace import TARGET_SECONDS, Pace
from pgstrata.migrations.backfill.progress import two_digits
from pgstrata.migrations.backfill.row_ranges import UNITS, BlockRanges, Extent, KeyRanges
from pgstrata.migrations.backfill.rows_left import statements
from pgstrata.migrations.backfill.shape import BackfillShape
from pgstrata.migrations.backfill.table import BackfillTable, KeyColumn
from pgstrata.pg.batch_statement import read_batch_statement
from pgstrata.pg.session import Session, Verbatim


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("", BatchOptions()),
        ("  ", BatchOptions()),
        ("key=id", BatchOptions(("id",))),
        ("key=ID,Tenant_Id", BatchOptions(("id", "tenant_id"))),
        ('key="My Key","a""b",c', BatchOptions(("My Key", 'a"b', "c"))),
        ('key="a=b" size=7', BatchOptions(("a=b",), 7)),
        ("size=adaptive keep=never", BatchOptions(keep=Keep.NEVER)),
        ("keep=always size=100000", BatchOptions((), 100_000, Keep.ALWAYS)),
    ],
)
def test_what_a_directive_asks_for(text: str, options: BatchOptions) -> None:
    assert read_batch_options(text) == options


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("id", "id is none of key="),
        ("key=", "key= is none of"),
        ("size=10 size=20", "size is given twice"),
        ("size=0", "from 1 to 100000"),
        ("size=-1", "from 1 to 100000"),
        ("size=100001", "from 1 to 100000"),
        ("size=1.5", "from 1 to 100000"),
        ("keep=Always", "keep is auto, always or never"),
        ("key=a,,b", "key is a list of columns"),
        ("key=a,", "key is a list of columns"),
        ("key=,a", "key is a list of columns"),
        ("key=a.b", "key is a list of columns"),
        ("key=a, b", "key is a list of columns|b is none of"),
        ('key="a', "key"),
        ("key='a'", "key is a list of columns"),
        ("key=lower(a)", "key is a list of columns"),
    ],
)
def test_what_a_directive_cannot_ask_for(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_batch_options(text)


def test_a_directive_can_be_told() -> None:
    assert str(read_batch_options("key=a,b keep=never")) == "key=a,b size=adaptive keep=never"


@pytest.mark.parametrize("rate", [500.0, 20_000.0, 1e6])
def test_batches_come_to_take_what_they_shall(rate: float) -> None:
    pace = Pace(1000, 100_000)
    for _ in range(40):
        pace.took(pace.size / rate, pace.size)
    wanted = min(100_000, rate * TARGET_SECONDS)
    assert wanted * 0.7 < pace.size < wanted * 1.4


def test_a_batch_grows_to_its_double_at_most() -> None:
    pace = Pace(1000, 100_000)
    pace.took(0.0, 1000)
    assert pace.size == 2000
    pace.took(60.0, 2000)
    assert pace.size == 1000


def test_the_rest_at_the_end_of_a_table_says_nothing() -> None:
    pace = Pace(1000, 100_000)
    pace.took(0.0, 3)
    assert pace.size == 1000


def test_a_fixed_size_comes_back_after_a_lock() -> None:
    pace = Pace(100, 100, is_fixed=True)
    pace.took(60.0, 100)
    assert pace.size == 100
    pace.size = 1
    sizes = []
    for _ in range(9):
        pace.took(60.0, pace.size)
        sizes.append(pace.size)
    assert sizes == [2, 4, 8, 16, 32, 64, 100, 100, 100]


def shape(text: str = "UPDATE t SET b = 1", *, columns: Sequence[str] = ("id",)) -> BackfillShape:
    types = ["int"] * len(columns)
    table = BackfillTable(
        1,
        "public",
        "t",
        "r",
        False,
        True,
        "me",
        False,
        False,
        [*columns, "b"],
        [*types, "int"],
        [],
        [],
        columns,
        types,
    )
    key = tuple(KeyColumn(column, "int") for column in columns)
    return BackfillShape(
        read_batch_statement(text), table, key, "SELECT 0", True, False, None, None, None
    )


NOBODY = cast(Session, None)


def text_of(statement: Verbatim) -> str:
    assert not isinstance(statement, str)
    return statement.as_string()


def blocks(rows: int = 1000, pages: int = 10) -> BlockRanges:
    return BlockRanges(shape(), NOBODY, Extent(pages, rows, pages, 7))


@given(st.integers(0, 50), st.lists(st.integers(1, 5 * UNITS), min_size=1, max_size=60))
async def test_ranges_of_blocks_leave_nothing_out_and_overlap_nowhere(
    pages: int, sizes: list[int]
) -> None:
    ranges, upper = blocks(), (str(pages * UNITS),)
    position, reached = None, 0
    for size in sizes:
        if position == upper:
            break
        end = await ranges.end_of(position, size, upper)
        assert reached < int(end[0]) <= pages * UNITS or pages == 0
        if size >= UNITS:
            assert int(end[0]) % UNITS == 0, "whole blocks"
        else:
            assert int(end[0]) <= (reached // UNITS + 1) * UNITS, "within one block"
        position, reached = end, int(end[0])


@given(st.integers(1, 4096 * UNITS))
def test_halving_a_range_of_blocks_comes_to_one_row(size: int) -> None:
    ranges = blocks()
    for _ in range(40):
        smaller = ranges.smaller(size)
        assert smaller < size or size == 1
        size = smaller
    assert size == 1


def test_rows_are_counted_in_blocks() -> None:
    assert blocks(rows=1000, pages=10).size_of(1000) == 10 * UNITS
    assert blocks(rows=1000, pages=10).size_of(7) == UNITS
    assert blocks(rows=0, pages=1).size_of(1000) == 10 * UNITS, "without statistics"
    assert blocks(rows=3, pages=10).size_of(7) == 7 * UNITS


def test_a_range_of_blocks_in_the_statement() -> None:
    text = text_of(blocks().statement((str(UNITS + 3),), (str(2 * UNITS),)))
    assert text == ("UPDATE t SET b = 1 WHERE t.ctid >= '(1,3)'::tid AND t.ctid < '(2,0)'::tid")
    unlocked = text_of(blocks().unlocked(None, (str(2 * UNITS),)))
    assert unlocked.count("'(0,0)'::tid") == unlocked.count("'(2,0)'::tid") == 2
    assert "FOR NO KEY UPDATE SKIP LOCKED" in unlocked


def test_a_range_of_keys_in_the_statement() -> None:
    ranges = KeyRanges(shape("DELETE FROM t", columns=("x", "Y")), NOBODY, Extent(1, 1, 1, 7))
    assert text_of(ranges.statement(None, ("1", "it's"))) == (
        "DELETE FROM t WHERE (t.x, t.\"Y\") <= ('1'::int, 'it''s'::int)"
    )
    both = text_of(ranges.statement(("pgstrata:high:1", "pgstrata:low:0"), ("5", "6")))
    assert both == (
        "DELETE FROM t WHERE (t.x, t.\"Y\") > ('pgstrata:high:1'::int, 'pgstrata:low:0'::int) "
        "AND (t.x, t.\"Y\") <= ('5'::int, '6'::int)"
    )
    assert "FOR UPDATE SKIP LOCKED" in text_of(ranges.unlocked(None, ("1", "2")))


@pytest.mark.parametrize(
    ("value", "shown"), [(0.0, 0), (-1.0, 0), (1234.0, 1200), (0.01234, 0.012), (99.9, 100)]
)
def test_figures_have_two_digits(value: float, shown: float) -> None:
    assert two_digits(value) == shown


def test_rows_that_are_left_are_taken_by_their_keys_some_at_a_time() -> None:
    keys = [(str(number), "o'clock") for number in range(45)]
    of_two = shape(columns=["id", "part"])
    texts = [text_of(statement) for statement in statements(of_two, keys)]
    assert [text.count("o''clock") for text in texts] == [20, 20, 5]
