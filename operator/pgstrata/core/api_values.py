"""Value types of the API: durations, sizes, cron, names, timestamps, clipped texts, list maps.

Each is one description with three readings: what pydantic accepts, what the CRD's schema says
(core/crd_schema.py collects it), and what Python holds inside. Rooms use them in spec.py.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import (
    AwareDatetime,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    Strict,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

DURATION_MAX_LENGTH = 32
DURATION_PATTERN = "^([0-9]+(ms|s|m|h|d))+$"
SHORT_DURATION_MAX_LENGTH = 16
SHORT_DURATION_PATTERN = "^([0-9]{1,6}(ms|s|m|h))+$"
"""What CEL's duration() reads: it knows no d, and fails above 290 years."""
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_PART = re.compile("([0-9]+)(ms|s|m|h|d)")


def parse_duration(text: str) -> timedelta:
    """Read a duration such as `500ms` or `1h30m`; a day has 24 hours.

    Raises:
        ValueError: another form, or longer than a timedelta can hold.
    """
    if re.fullmatch(f"({_PART.pattern})+", text) is None or len(text) > DURATION_MAX_LENGTH:
        raise ValueError(f"{text!r} is not a duration such as 500ms, 30s, 1h30m or 7d")
    try:
        return sum((int(n) * _UNITS[unit] for n, unit in _PART.findall(text)), timedelta())
    except OverflowError as error:
        raise ValueError(f"{text!r} is too long") from error


def format_duration(duration: timedelta) -> str:
    """Write a duration of whole milliseconds (finer is cut off) so that parse_duration reads it."""
    rest, text = duration, ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, _UNITS[unit])
        text += f"{count}{unit}" if count else ""
    return text or "0s"


@dataclass(frozen=True, slots=True)
class DurationText:
    """Annotates a timedelta that is written as text, `^([0-9]+(ms|s|m|h|d))+$`."""

    def __get_pydantic_core_schema__(
        self, _source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(
            self._read,
            handler.generate_schema(timedelta),
            serialization=core_schema.plain_serializer_function_ser_schema(
                format_duration, return_schema=core_schema.str_schema()
            ),
        )

    def __get_pydantic_json_schema__(
        self, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": DURATION_PATTERN, "maxLength": DURATION_MAX_LENGTH}

    def _read(self, value: object) -> timedelta:
        if isinstance(value, timedelta):
            return value
        if not isinstance(value, str):
            raise PydanticCustomError("duration", "must be a duration such as 500ms or 30s")
        return parse_duration(value)


@dataclass(frozen=True, slots=True)
class ShortDuration(DurationText):
    """Annotates a timedelta with bounds, in hours at most: the unit d is not taken.

    CEL judges the bounds, but only of what has the right form: its own error is not for users.
    """

    at_least: str
    at_most: str

    def __get_pydantic_json_schema__(
        self, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        bounds = f"duration(self) >= duration('{self.at_least}')"
        bounds += f" && duration(self) <= duration('{self.at_most}')"
        return {
            "type": "string",
            "pattern": SHORT_DURATION_PATTERN,
            "maxLength": SHORT_DURATION_MAX_LENGTH,
            "x-kubernetes-validations": [
                {
                    "rule": f"!self.matches('{SHORT_DURATION_PATTERN}') || ({bounds})",
                    "message": self._message,
                }
            ],
        }

    @property
    def _message(self) -> str:
        return f"must be at least {self.at_least} and at most {self.at_most}"

    def _read(self, value: object) -> timedelta:
        if isinstance(value, str) and (
            re.fullmatch(SHORT_DURATION_PATTERN, value) is None
            or len(value) > SHORT_DURATION_MAX_LENGTH
        ):
            raise PydanticCustomError("duration", "must be a duration in ms, s, m or h, as 1m30s")
        # slots=True makes a new class, in which a bare super() would not find its own
        duration = DurationText._read(self, value)
        if not parse_duration(self.at_least) <= duration <= parse_duration(self.at_most):
            raise PydanticCustomError("duration_bounds", "{text}", {"text": self._message})
        return duration


def _any_case(names: str) -> str:
    return "|".join("".join(f"[{c}{c.lower()}]" for c in name) for name in names.split())


def _cron_pattern() -> str:
    """Return cron's five fields, each a list of values, ranges and steps within its bounds."""
    months = _any_case("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
    days = _any_case("SUN MON TUE WED THU FRI SAT")
    fields = []
    for value, step in (
        ("[0-5]?[0-9]", "[1-9]|[1-5][0-9]"),
        ("[01]?[0-9]|2[0-3]", "[1-9]|1[0-9]|2[0-3]"),
        ("0?[1-9]|[12][0-9]|3[01]", "[1-9]|[12][0-9]|3[01]"),
        (f"0?[1-9]|1[0-2]|{months}", "[1-9]|1[0-2]"),
        (f"[0-7]|{days}", "[1-7]"),
    ):
        item = f"([*]|({value})(-({value}))?)(/({step}))?"
        fields.append(f"{item}(,{item})*")
    return f"^{' +'.join(fields)}$"


CRON_MAX_LENGTH = 128
CRON_PATTERN = _cron_pattern()
_CRON_MESSAGE = "must be cron's five fields (minute hour day month weekday), as 0 2 * * MON-FRI"


@dataclass(frozen=True, slots=True)
class CronText:
    """Annotates a text of cron's five fields; names of months and days in any case.

    Left to core/windows.py is what no pattern says: that a range does not end before it begins.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(
        self, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Not as its pattern, which the API server would show in full in place of a message.
        rule = {"rule": f"self.matches('{CRON_PATTERN}')", "message": _CRON_MESSAGE}
        return {
            "type": "string",
            "maxLength": CRON_MAX_LENGTH,
            "x-kubernetes-validations": [rule],
        }

    def _read(self, text: str) -> str:
        if len(text) > CRON_MAX_LENGTH or re.fullmatch(CRON_PATTERN, text) is None:
            raise PydanticCustomError("cron", "{text}", {"text": _CRON_MESSAGE})
        return text


BYTE_SIZE_MAX_LENGTH = 16
BYTE_SIZE_PATTERN = "^[1-9][0-9]{0,5}(Ki|Mi|Gi|Ti)$"
_BYTES = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40}


class ByteSize(int):
    """A number of bytes that is written as text: `10Gi`, a whole number and its unit."""

    @classmethod
    def __get_pydantic_core_schema__(
        cls, _source: object, _handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(
                cls.text, return_schema=core_schema.str_schema()
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, _core: CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "pattern": BYTE_SIZE_PATTERN, "maxLength": BYTE_SIZE_MAX_LENGTH}

    def text(self) -> str:
        """Return it as it is written, in the largest unit that divides it; below 1 KiB is cut."""
        unit = next((u for u in reversed(_BYTES) if self % _BYTES[u] == 0), "Ki")
        return f"{self // _BYTES[unit]}{unit}"

    @classmethod
    def _read(cls, value: object) -> Self:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str) or re.fullmatch(BYTE_SIZE_PATTERN, value) is None:
            raise PydanticCustomError("byte_size", "must be a size such as 512Mi or 10Gi")
        return cls(int(value[:-2]) * _BYTES[value[-2:]])


@dataclass(frozen=True, slots=True)
class ListMap:
    """Annotates a tuple of objects that are a map by `keys`: a key may occur once.

    The keys are the fields' names on the wire. Server-side apply merges by them.
    """

    keys: tuple[str, ...]

    def __init__(self, *keys: str) -> None:
        object.__setattr__(self, "keys", keys)

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._unique, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core) | {
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": list(self.keys),
        }

    def _unique(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        seen: set[tuple[object, ...]] = set()
        for item in items:
            wire = item.model_dump(mode="json", by_alias=True)
            key = tuple(wire[name] for name in self.keys)
            if key in seen:
                said = ", ".join(f"{n} {v!r}" for n, v in zip(self.keys, key, strict=True))
                raise PydanticCustomError("duplicate", "Duplicate value: {said}", {"said": said})
            seen.add(key)
        return items


@dataclass(frozen=True, slots=True)
class Clipped:
    """Annotates a text that pgstrata writes: what is longer than `max_length` is cut, with `…`.

    Only for status: a long message of PostgreSQL must not make the whole status unwritable.
    """

    max_length: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._clip, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core) | {"maxLength": self.max_length}

    def _clip(self, text: str) -> str:
        return text if len(text) <= self.max_length else text[: self.max_length - 1] + "…"


@dataclass(frozen=True, slots=True)
class First:
    """Annotates a tuple that pgstrata writes: only the first `max_items` are kept.

    Only for status, as Clipped; what does not fit is told elsewhere.
    """

    max_items: int

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._keep, handler(source))

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(core) | {"maxItems": self.max_items}

    def _keep(self, items: tuple[Any, ...]) -> tuple[Any, ...]:
        return items[: self.max_items]


def _utc_seconds(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"

Duration = Annotated[timedelta, DurationText()]
"""A length of time."""

Timestamp = Annotated[
    AwareDatetime,
    PlainSerializer(_utc_seconds, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A moment; UTC and whole seconds on the wire, as metav1.Time."""


Integer = Annotated[int, Strict()]
"""A whole number; neither "10" nor true is one."""

Count = Annotated[Integer, Field(ge=0)]
"""A whole number, zero or more."""

Number = Annotated[float, Strict(), Field(ge=0)]
"""A measured figure, zero or more."""

Flag = Annotated[bool, Strict()]
"""true or false; neither "yes" nor 1 is one."""

LabelName = Annotated[str, Field(min_length=1, max_length=63, pattern=f"^{_DNS_LABEL}$")]
"""A DNS-1123 label."""

ObjectName = Annotated[
    str, Field(min_length=1, max_length=253, pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$")
]
"""A DNS-1123 subdomain: the name of a Kubernetes object."""

DataKey = Annotated[str, Field(min_length=1, max_length=253, pattern="^[-._a-zA-Z0-9]+$")]
"""A key in a Secret's or ConfigMap's data."""

Cron = Annotated[str, CronText()]
"""A schedule."""

_ZONE_PART = "[A-Z][-+_A-Za-z0-9]*"

TimeZone = Annotated[
    str, Field(min_length=1, max_length=63, pattern=f"^{_ZONE_PART}(/{_ZONE_PART})*$")
]
"""The form of an IANA name; whether there is such a zone is for core/windows.py."""

Query = Annotated[str, Field(min_length=1, max_length=2048)]
"""A query of the user's own."""
