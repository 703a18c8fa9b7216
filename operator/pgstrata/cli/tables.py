"""The tables of the command line, drawn by rich: what goes on, and what came of it."""

import sys

from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pgstrata.cli.apply import condition_of
from pgstrata.core.resource import RawResource

_BAR_WIDTH = 24
_PLAIN_WIDTH = 240
_STYLES = {"True": "green", "False": "red"}


class LiveTable(Live):
    """A table on standard error that changes in place and goes away at its end."""

    def __init__(self) -> None:
        super().__init__(console=Console(stderr=True), auto_refresh=False, transient=True)

    def show(self, resources: list[RawResource]) -> None:
        """Draw it anew."""
        self.update(_running_table(resources), refresh=True)

    def say(self, text: str) -> None:
        """Print a line above it, which stays."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


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
