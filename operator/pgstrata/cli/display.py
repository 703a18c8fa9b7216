"""Shows how a run goes on: a live table on a terminal, one line per transition elsewhere.

All of it goes to standard error; standard output has the result alone.
"""

import sys
from contextlib import AbstractContextManager, nullcontext

from pgstrata.cli.apply import condition_of
from pgstrata.core.resource import ObjectKey, RawResource


class Display:
    """Told of every status; shows what is news."""

    def __init__(self) -> None:
        self._states: dict[ObjectKey, RawResource] = {}
        self._said: dict[ObjectKey, tuple[str, str]] = {}
        self._warned: set[tuple[ObjectKey, str]] = set()
        self._live = None
        if sys.stderr.isatty():
            from pgstrata.cli.tables import LiveTable  # noqa: PLC0415  rich is slow to start

            self._live = LiveTable()

    def running(self) -> AbstractContextManager[object]:
        """While the block runs, a terminal has the live table."""
        return self._live or nullcontext()

    def show(self, raw: RawResource) -> None:
        """Take note of a status."""
        self._states[raw.key] = raw
        if self._live:
            self._live.show(list(self._states.values()))
            return
        ready = condition_of(raw, "Ready")
        said = (ready["reason"], ready["message"])
        if self._said.get(raw.key) != said:
            self._said[raw.key] = said
            print(f"{raw.key}: {said[0]}: {said[1]}", file=sys.stderr, flush=True)

    def warn(self, key: ObjectKey, reason: str, message: str) -> None:
        """Show a warning once, unless the status says it."""
        state = self._states.get(key)
        is_said = state is not None and condition_of(state, "Ready")["message"] == message
        if is_said or (key, message) in self._warned:
            return
        self._warned.add((key, message))
        text = f"{key}: {reason}: {message}"
        if self._live:
            self._live.say(text)
        else:
            print(text, file=sys.stderr, flush=True)
