"""Durations, timestamps, clipped texts: what is on the wire and what Python holds."""

import re
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from pgstrata.core.api_status import (
    STEP_TABLES_MAX,
    ConditionModel,
    ConditionStatus,
    StepStatus,
    WorkState,
)
from pgstrata.core.api_values import (
    CRON_MAX_LENGTH,
    DURATION_MAX_LENGTH,
    DURATION_PATTERN,
    SHORT_DURATION_PATTERN,
    ByteSize,
    Cron,
    Duration,
    ListMap,
    ObjectName,
    ShortDuration,
    format_duration,
    parse_duration,
)
from pgstrata.core.errors import InvalidSpec
from pgstrata.core.windows import Window
from pgstrata.migrations.spec import (
    Phase,
    PhaseStatus,
    SchemaVersionStatus,
    VersionStatus,
)

DURATION = TypeAdapter[timedelta](Duration)
CRON = TypeAdapter[str](Cron)
PARTS = st.lists(
    st.tuples(st.integers(0, 99), st.sampled_from(["ms", "s", "m", "h", "d"])),
    min_size=1,
    max_size=8,
)


@given(st.timedeltas(timedelta(0), timedelta(days=365_000)))
def test_a_duration_is_read_as_it_was_written_to_the_millisecond(duration: timedelta) -> None:
    text = format_duration(duration)
    assert timedelta(0) <= duration - parse_duration(text) < timedelta(milliseconds=1)
    assert re.fullmatch(DURATION_PATTERN, text)
    assert len(text) <= DURATION_MAX_LENGTH


@given(PARTS)
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    units = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
    text = "".join(f"{count}{unit}" for count, unit in parts)
    expected = sum(count * units[unit] for count, unit in parts)
    assert parse_duration(text) == timedelta(milliseconds=expected)


@pytest.mark.parametrize(
    "text", ["", "5", "s", "1.5s", "-1s", "1 s", "5s\n", "1w", "5S", "9" * 30 + "d", "1s" * 17]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is (not a duration|too long)"):
        parse_duration(text)


@pytest.mark.parametrize("value", [5, 5.0, None, True, ["5s"]])
def test_only_a_text_is_a_duration_on_the_wire(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a duration"):
        DURATION.validate_python(value)


@pytest.mark.parametrize(
    ("text", "is_within"),
    [
        ("1s", True), ("1m", True), ("60s", True), ("999ms", False), ("60001ms", False),
        ("0h1m", True), ("1d", False),
    ],
)  # fmt: skip
def test_the_bounds_of_a_short_duration_are_inclusive(text: str, *, is_within: bool) -> None:
    short = TypeAdapter[timedelta](Annotated[timedelta, ShortDuration("1s", "1m")])
    if is_within:
        assert short.validate_python(text) == parse_duration(text)
    else:
        with pytest.raises(ValidationError, match="must be"):
            short.validate_python(text)


def test_the_longest_short_duration_is_one_that_cel_can_hold() -> None:
    longest = "999999h999999h"
    assert re.fullmatch(SHORT_DURATION_PATTERN, longest)
    assert parse_duration(longest) < timedelta(days=290 * 365)
    assert not re.fullmatch(SHORT_DURATION_PATTERN, "1000000h")


@given(st.integers(1, 999_999), st.sampled_from(["Ki", "Mi", "Gi", "Ti"]))
def test_a_size_is_read_as_it_was_written(number: int, unit: str) -> None:
    reader = TypeAdapter[ByteSize](ByteSize)
    size = reader.validate_python(f"{number}{unit}")
    assert size == number << {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40}[unit]
    assert reader.validate_python(size) == size
    written = reader.dump_python(size, mode="json")
    assert reader.validate_python(written) == size
    assert int(written[:-2]) <= number, "in the largest unit that fits"


@pytest.mark.parametrize(
    "value", ["", "10", "10G", "10 Gi", "0Gi", "01Gi", "-1Gi", "1Gi\n", 10, None]
)
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValidationError, match="must be a size such as 512Mi or 10Gi"):
        TypeAdapter[ByteSize](ByteSize).validate_python(value)


def a_field(lowest: int, highest: int, names: str = "") -> st.SearchStrategy[str]:
    """What may stand in one of cron's fields."""
    values = st.one_of(
        st.integers(lowest, highest).map(str),
        *([st.sampled_from([*names.split(), *names.lower().split()])] if names else []),
    )
    ranges = st.tuples(st.integers(lowest, highest), st.integers(lowest, highest)).map(
        lambda ends: f"{min(ends)}-{max(ends)}"
    )
    starts = st.one_of(st.just("*"), values, ranges)
    steps = st.one_of(st.just(""), st.integers(1, highest).map("/{}".format))
    items = st.tuples(starts, steps).map("".join)
    return st.lists(items, min_size=1, max_size=3).map(",".join)


@given(
    st.tuples(
        a_field(0, 59),
        a_field(0, 23),
        a_field(1, 31),
        a_field(1, 12, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC"),
        a_field(0, 7, "SUN MON TUE WED THU FRI SAT"),
    )
)
def test_what_is_cron_is_taken_by_the_api_and_makes_a_window(fields: tuple[str, ...]) -> None:
    schedule = " ".join(fields)
    assert len(schedule) > CRON_MAX_LENGTH or CRON.validate_python(schedule) == schedule
    Window("w", schedule, timedelta(hours=1))


@given(st.text(alphabet="0123456789*/-, JANMON", max_size=20), st.integers(0, 4))
def test_what_the_api_takes_makes_a_window_but_for_ranges_that_end_before_they_begin(
    text: str, place: int
) -> None:
    fields = ["*"] * 5
    fields[place] = text
    schedule = " ".join(fields)
    try:
        CRON.validate_python(schedule)
    except ValidationError:
        return
    try:
        Window("w", schedule, timedelta(hours=1))
    except InvalidSpec:
        assert "-" in text


@given(st.text(alphabet="aZ0-._\n", max_size=12))
def test_a_name_is_a_dns_subdomain_in_python_too(text: str) -> None:
    label = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
    try:
        TypeAdapter[str](ObjectName).validate_python(text)
    except ValidationError:
        assert re.fullmatch(rf"{label}(?:\.{label})*", text) is None
    else:
        assert re.fullmatch(rf"{label}(?:\.{label})*", text)


def test_a_key_of_two_fields_may_repeat_in_one_of_them() -> None:
    keyed = TypeAdapter[tuple[PhaseStatus, ...]](
        Annotated[tuple[PhaseStatus, ...], ListMap("phase", "state")]
    )
    done = {"phase": "Expand", "state": "Done"}
    assert len(keyed.validate_python([done, {**done, "phase": "Migrate"}])) == 2
    with pytest.raises(ValidationError, match="Duplicate value: phase 'Expand', state 'Done'"):
        keyed.validate_python([done, done])


def test_a_status_on_the_wire_has_utc_seconds_and_no_nulls() -> None:
    moment = datetime(2026, 3, 1, 1, 30, 5, 999_999, timezone(timedelta(hours=2)))
    status = SchemaVersionStatus(
        observed_generation=3,
        conditions=(
            ConditionModel(
                type="Ready",
                status=ConditionStatus.TRUE,
                observed_generation=3,
                last_transition_time=moment,
                reason="Succeeded",
                message="version 003",
            ),
        ),
        current_version="003",
        versions=(
            VersionStatus(
                version="003",
                name="users",
                checksum="c",
                phases=(
                    PhaseStatus(phase=Phase.EXPAND, state=WorkState.DONE, completed_at=moment),
                ),
            ),
        ),
    )
    assert status.as_json() == {
        "observedGeneration": 3,
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "observedGeneration": 3,
                "lastTransitionTime": "2026-02-28T23:30:05Z",
                "reason": "Succeeded",
                "message": "version 003",
            }
        ],
        "currentVersion": "003",
        "versions": [
            {
                "version": "003",
                "name": "users",
                "checksum": "c",
                "phases": [
                    {"phase": "Expand", "state": "Done", "completedAt": "2026-02-28T23:30:05Z"}
                ],
            }
        ],
    }


def test_a_moment_without_a_zone_is_refused() -> None:
    with pytest.raises(ValidationError, match="timezone"):
        ConditionModel(
            type="Ready",
            status=ConditionStatus.TRUE,
            last_transition_time=datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None),
            reason="Succeeded",
            message="",
        )


def test_a_long_text_in_a_status_is_cut_and_says_so() -> None:
    step = StepStatus(id="001/expand/1", title="x" * 600, state=WorkState.PENDING)
    assert step.title == "x" * 511 + "…"
    assert StepStatus(id="a", title="x" * 512, state=WorkState.PENDING).title == "x" * 512


def test_of_a_long_list_in_a_status_the_first_are_kept() -> None:
    tables = tuple(f"public.t{number}" for number in range(STEP_TABLES_MAX + 1))
    step = StepStatus(id="a", title="a", state=WorkState.PENDING, tables=tables)
    assert step.tables == tables[:STEP_TABLES_MAX]
