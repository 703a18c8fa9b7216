"""Shows how a run goes on: a live table on a terminal, one line per transition elsewhere.

All of it goes to standard error; standard output has the result alone.
"""

import sys
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pgstrata.cli.apply import condition_of
from pgstrata.core.resource import ObjectKey, RawResource

_BAR_WIDTH = 24
_PLAIN_WIDTH = 240
_STYLES = {"True": "green", "False": "red"}


class Display:
    """Told of every status; shows what is news."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._states: dict[ObjectKey, RawResource] = {}
        self._said: dict[ObjectKey, tuple[str, str]] = {}
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self.is_terminal = self._console.is_terminal

    def running(self) -> AbstractContextManager[object]:
        """While the block runs, a terminal has the live table."""
        return self._live if self.is_terminal else nullcontext()

    def show(self, raw: RawResource) -> None:
        """Take note of a status."""
        self._states[raw.key] = raw
        if self.is_terminal:
            self._live.update(_running_table(list(self._states.values())), refresh=True)
            return
        ready = condition_of(raw, "Ready")
        said = (ready["reason"], ready["message"])
        if self._said.get(raw.key) != said:
            self._said[raw.key] = said
            print(f"{raw.key}: {said[0]}: {said[1]}", file=sys.stderr, flush=True)


def _running_table(resources: list[RawResource]) -> Table:
    """Return what is going on: name, reason, a bar where there are figures, and the message."""
    table = Table.grid(padding=(0, 2))
    for raw in resources:
        ready = condition_of(raw, "Ready")
        progress = raw.status.get("progress")
        bar: ProgressBar | Text = Text("")
        if isinstance(progress, dict) and isinstance(total := progress.get("total"), int):
            done = progress.get("done")
            bar = ProgressBar(total, done if isinstance(done, int) else 0, width=_BAR_WIDTH)
        style = _STYLES.get(ready["status"], "yellow")
        table.add_row(str(raw.key), Text(ready["reason"], style), bar, Text(ready["message"]))
    return table


def result_console() -> Console:
    """Return standard output; what is no terminal gets lines that are long enough not to wrap."""
    return Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH)


def result_table(resources: list[RawResource]) -> Table:
    """Return kind, name, Ready, reason and message of each resource."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("KIND", "NAME", "READY", "REASON", "MESSAGE"):
        table.add_column(name, overflow="fold")
    for raw in resources:
        ready = condition_of(raw, "Ready")
        style = _STYLES.get(ready["status"], "yellow")
        table.add_row(
            raw.key.kind,
            raw.key.name,
            Text(ready["status"] or "Unknown", style),
            ready["reason"],
            Text(ready["message"]),
        )
    return table
