"""What a measurement says: one figure beside its limit and its peer; a table of them, a JSON file.

Made by the measurements (runner.py and its neighbours), shown and written by __main__.py. A goal
that is missed is a result like any other: only a measurement that could not be taken is a failure.
"""

import json
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from operator import ge, le, lt
from pathlib import Path
from typing import Literal

OUT = Path(__file__).parent / "out"
"""Where the JSON files go; not in Git."""
_MEETS = {"<": lt, "<=": le, ">=": ge}


@dataclass(frozen=True, slots=True)
class Goal:
    """A limit that a value must stay below (`<`), must not exceed (`<=`), must reach (`>=`)."""

    sign: Literal["<", "<=", ">="]
    limit: float

    def is_met_by(self, value: float) -> bool:
        return bool(_MEETS[self.sign](value, self.limit))

    def __str__(self) -> str:
        return f"{self.sign} {self.limit:g}"


@dataclass(frozen=True, slots=True)
class Figure:
    """One thing that was measured, in `unit`, as its reference is."""

    measure: str
    value: float
    unit: str
    reference: str | None = None
    """What was measured beside it, for comparison."""
    reference_value: float | None = None
    goal: Goal | None = None

    @property
    def ratio(self) -> float | None:
        """The value by that of the reference."""
        return self.value / self.reference_value if self.reference_value else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        return None if self.goal is None else self.goal.is_met_by(self.value)

    def as_json(self) -> dict[str, str | float | bool | None]:
        """The entry of the JSON file."""
        return {
            "measure": self.measure,
            "value": _rounded(self.value),
            "unit": self.unit,
            "reference": self.reference,
            "referenceValue": _rounded(self.reference_value),
            "ratio": _rounded(self.ratio),
            "goal": None if self.goal is None else str(self.goal),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one name of the bench yields."""

    figures: tuple[Figure, ...]
    notes: tuple[str, ...]
    """How it was measured, for people who read the table."""


def write(name: str, measurement: Measurement) -> Path:
    """Write bench/out/<name>.json and return its path."""
    OUT.mkdir(exist_ok=True)
    path = OUT / f"{name}.json"
    entries = [figure.as_json() for figure in measurement.figures]
    path.write_text(json.dumps(entries, indent=1) + "\n", encoding="utf-8")
    return path


def table(name: str, measurement: Measurement) -> str:
    """Return the figures in columns, and the notes below them."""
    head = (name, "value", "unit", "reference", "value", "ratio", "goal", "met")
    rows = [head, *(_cells(figure) for figure in measurement.figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    numbers = {1, 4, 5}
    lines = [
        "  ".join(
            cell.rjust(width) if column in numbers else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join([*lines, *(f"  {note}" for note in measurement.notes)])


def median(values: Sequence[float]) -> float:
    """Return the median; 0 of nothing."""
    return statistics.median(values) if values else 0.0


def percentile(values: Sequence[float], rank: float) -> float:
    """Return the smallest value that `rank` percent do not exceed (nearest rank)."""
    ascending = sorted(values)
    return ascending[max(0, ceil(len(ascending) * rank / 100) - 1)]


def _cells(figure: Figure) -> tuple[str, ...]:
    met = {None: "", True: "yes", False: "NO"}[figure.met]
    return (
        figure.measure,
        _text(figure.value),
        figure.unit,
        figure.reference or "",
        _text(figure.reference_value),
        _text(figure.ratio),
        "" if figure.goal is None else str(figure.goal),
        met,
    )


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
