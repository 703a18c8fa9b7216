"""Versions and file names: `<version>_<name>[.<phase>].sql`, and those of the tools that people
come from. Pure; called by source.py.

Read as they are: V1__init.sql (Flyway), 000001_init.up.sql (golang-migrate), 20240101_init.sql
(dbmate, goose). Undo and down files are passed over: nothing is rolled back unless asked for.
"""

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from functools import total_ordering
from itertools import zip_longest

from pgstrata.core.errors import InvalidSpec
from pgstrata.migrations.spec import Phase


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """Dotted integers; leading zeros do not count, and 1 is the same version as 1.0."""

    text: str
    """As its files spell it."""
    numbers: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        numbers = [int(part) for part in self.text.split(".")]
        while len(numbers) > 1 and numbers[-1] == 0:
            numbers.pop()
        object.__setattr__(self, "numbers", tuple(numbers))

    @property
    def key(self) -> str:
        """The spelling that the journal uses."""
        return ".".join(map(str, self.numbers))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Version) and self.numbers == other.numbers

    def __lt__(self, other: "Version") -> bool:
        for mine, theirs in zip_longest(self.numbers, other.numbers, fillvalue=0):
            if mine != theirs:
                return mine < theirs
        return False

    def __hash__(self) -> int:
        return hash(self.numbers)

    def __str__(self) -> str:
        return self.text


class Style(Enum):
    """Whose way of naming a file follows; one source has one."""

    PGSTRATA = auto()
    """Also what dbmate and goose name: their sections are found in the text."""
    FLYWAY = auto()
    GOLANG_MIGRATE = auto()


class Role(Enum):
    """What a file is for."""

    MIGRATION = auto()
    ROLLBACK = auto()
    """Run only when asked for, which this release does not offer."""
    VERIFY = auto()
    """A query whose rows are failures of its version."""


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file's name says."""

    version: Version
    name: str
    phase: Phase
    role: Role
    style: Style


_ROLES = {"rollback": Role.ROLLBACK, "verify": Role.VERIFY}
_PHASES = {phase.value.lower(): phase for phase in Phase}
_VERSION = r"(?P<version>[0-9]+(?:\.[0-9]+)*)"
_OWN = re.compile(rf"{_VERSION}_(?P<name>[^.]+)(?:\.(?P<suffix>[a-z]+))?\.sql")
_FLYWAY = re.compile(r"(?P<kind>[VU])(?P<version>[0-9]+(?:[._][0-9]+)*)__(?P<name>.+)\.sql")
_GOLANG = re.compile(rf"{_VERSION}_(?P<name>.+)\.(?P<direction>up|down)\.sql")
_REPEATABLE = re.compile(r"R__.+\.sql")
_TIMESTAMP_DIGITS = 8


def read_file_name(text: str) -> FileName:
    """Take a file's name apart. Raises InvalidSpec saying what a name looks like."""
    if match := _GOLANG.fullmatch(text):
        role = Role.MIGRATION if match["direction"] == "up" else Role.ROLLBACK
        version = Version(match["version"])
        return FileName(version, match["name"], Phase.EXPAND, role, Style.GOLANG_MIGRATE)
    if match := _FLYWAY.fullmatch(text):
        role = Role.MIGRATION if match["kind"] == "V" else Role.ROLLBACK
        version = Version(match["version"].replace("_", "."))
        return FileName(version, match["name"], Phase.EXPAND, role, Style.FLYWAY)
    if match := _OWN.fullmatch(text):
        return _read_own(text, match)
    if _REPEATABLE.fullmatch(text):
        raise InvalidSpec(f"file {text}: repeatable migrations have no version and cannot be run")
    raise InvalidSpec(
        f"file {text}: a migration is named <version>_<name>[.expand|.migrate|.contract].sql, "
        "for example 001_add_indexes.expand.sql"
    )


def _read_own(text: str, match: re.Match[str]) -> FileName:
    suffix = match["suffix"]
    role = _ROLES.get(suffix or "", Role.MIGRATION)
    if role is Role.MIGRATION and suffix is not None and suffix not in _PHASES:
        raise InvalidSpec(
            f"file {text}: {suffix} is no phase; the phases are expand, migrate and contract"
        )
    phase = _PHASES.get(suffix or "", Phase.EXPAND)
    return FileName(Version(match["version"]), match["name"], phase, role, Style.PGSTRATA)


def check_scheme(names: dict[str, FileName]) -> None:
    """Refuse a source whose names do not order by one scheme. Raises InvalidSpec."""
    by_style = {name.style: text for text, name in names.items()}
    if len(by_style) > 1:
        raise InvalidSpec(f"files are named in different ways: {', '.join(by_style.values())}")
    spelled: dict[Version, tuple[str, str]] = {}
    lengths: dict[bool, str] = {}
    for text, name in names.items():
        other, file = spelled.setdefault(name.version, (name.version.text, text))
        if other != name.version.text:
            raise InvalidSpec(
                f"files {file} and {text} spell one version in two ways: {other} and {name.version}"
            )
        first = name.version.text.split(".")[0]
        lengths.setdefault(len(first) >= _TIMESTAMP_DIGITS, text)
    if len(lengths) > 1:
        raise InvalidSpec(
            "some versions are numbers and some are dates, which do not order among each other: "
            f"{lengths[False]} and {lengths[True]}"
        )
