"""How long a step will take that goes over whole tables: by their size and by what was measured.

Steps write down what they went over and how long that took (pgstrata.step.work, bytes); where
nothing was measured yet on this database, cautious figures stand in. Called by engine/gates.py, for
a step that must end before its window closes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pgstrata.core.names import TableName
from pgstrata.pg.quoting import quoted
from pgstrata.pg.session import Session

_MB = 1024 * 1024


class Work(StrEnum):
    """What is done to whole tables."""

    SCAN = "Scan"
    """VALIDATE CONSTRAINT, SET NOT NULL, ANALYZE."""
    BUILD_INDEX = "BuildIndex"
    REWRITE = "Rewrite"
    """A new copy of the table, VACUUM FULL, CLUSTER."""


UNMEASURED = {Work.SCAN: 100.0 * _MB, Work.BUILD_INDEX: 20.0 * _MB, Work.REWRITE: 30.0 * _MB}
"""Bytes a second, where nothing was measured: about a third of what one disk of a cloud gives."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """How long, and why."""

    seconds: float
    text: str
    """`12 GB at 35 MB/s`"""


@dataclass(frozen=True, slots=True)
class _Bytes:
    name: str
    bytes: int


@dataclass(frozen=True, slots=True)
class _DatabaseBytes:
    bytes: int


@dataclass(frozen=True, slots=True)
class _Rate:
    rate: float


async def estimate(session: Session, work: Work, tables: Sequence[TableName]) -> Estimate:
    """Return how long `work` on these tables will take; tables that do not exist take no time.

    Without any table it is work on all of the database: VACUUM FULL, REINDEX DATABASE.
    """
    if tables:
        names = [quoted(table.schema, table.name) for table in tables]
        size = sum(r.bytes for r in await session.all("engine/table_bytes", _Bytes, names=names))
    else:
        size = (await session.one("engine/database_bytes", _DatabaseBytes)).bytes
    measured = await session.one_or_none("engine/work_rate", _Rate, work=work.value)
    rate = measured.rate if measured is not None and measured.rate > 0 else UNMEASURED[work]
    how = "measured" if measured is not None else "assumed"
    return Estimate(size / rate, f"{human(size)} at {human(rate)}/s, {how}")


def human(count: float) -> str:
    """Never 0.0 of anything but nothing: a tenth of a MB and less is said in kB, the rest in MB."""
    if 0 < count < 0.1 * _MB:
        return f"{max(1, count / 1024):.0f} kB"
    value = count / _MB
    return f"{value:.0f} MB" if value >= 10 else f"{value:.1f} MB"
