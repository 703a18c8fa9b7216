"""What must be given before a step may begin: approval, window, dependencies, no suspension.

Asked by engine/run.py before each step. Raises one of core.errors.NotNow, which says what is waited
for; nothing is begun then. A person's approval is asked for before the window is, so that there is
time to give it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pgstrata.core.api_values import format_duration
from pgstrata.core.errors import (
    ApprovalPending,
    DependencyNotReady,
    Suspended,
    WaitingForWindow,
)
from pgstrata.core.windows import Opening, Window
from pgstrata.engine.estimate import estimate
from pgstrata.engine.plan import Outline
from pgstrata.pg.clock import database_now
from pgstrata.pg.session import Session

_LONGEST_PAUSE = 600.0
_LEAST_SECONDS = 1.0
"""Below this nothing is begun any more."""


@dataclass(frozen=True, slots=True)
class Gates:
    """The gates of one run."""

    approved: frozenset[str] = frozenset()
    """Hashes that were agreed to."""
    stale: tuple[str, ...] = ()
    """Hashes that were agreed to and are not what waits."""
    covers: Mapping[str, str] = field(default_factory=dict)
    """What a hash stands for; one that is left out: the step that waits."""
    how_to_approve: str = "approve {hash}"
    """What a person can do, with a place for the hash."""
    window: Window | None = None
    waits_for: str | None = None
    """Another resource that comes first, as a sentence."""
    suspended: str | None = None
    """What is suspended, as a sentence."""

    async def closes(self, session: Session) -> float | None:
        """Return when the window closes, by the event loop's clock; None: not in sight."""
        if self.window is None:
            return None
        now, opening = await self._opening(session, self.window)
        if not opening.is_open or opening.closes is None:
            return None
        left = (opening.closes - now).total_seconds()
        return asyncio.get_running_loop().time() + left

    async def admit(self, outline: Outline, session: Session) -> None:
        """Raise NotNow where the step must not begin."""
        if self.suspended is not None:
            raise Suspended(f"{self.suspended}; {outline.title} waits for the end of that")
        if self.waits_for is not None:
            raise DependencyNotReady(self.waits_for)
        if outline.approval is not None and outline.approval not in self.approved:
            raise ApprovalPending(self._ask(outline.title, outline.approval))
        # What touches nothing but the journal needs no window.
        if self.window is not None and (outline.statements or outline.tables):
            await self._pass_window(outline, session, self.window)

    def _ask(self, title: str, hash_: str) -> str:
        title = self.covers.get(hash_, title)
        text = f"{title} waits for approval: {self.how_to_approve.format(hash=hash_)}"
        if self.stale:
            text += (
                f"; {', '.join(self.stale)} was offered and is not what waits: the files or the "
                "spec have changed since, or it is no hash that was asked for (all 16 characters)"
            )
        return text

    async def _pass_window(self, outline: Outline, session: Session, window: Window) -> None:
        now, opening = await self._opening(session, window)
        if not opening.is_open:
            raise _closed(outline.title, window, now, opening)
        if opening.closes is None:
            return
        left = (opening.closes - now).total_seconds()
        needed, why = _LEAST_SECONDS, ""
        if outline.work is not None:
            found = await estimate(session, outline.work, outline.work_tables)
            needed, why = max(needed, found.seconds), f" ({found.text})"
        if needed <= left:
            return
        text = (
            f"{outline.title} takes about {_seconds(needed)}{why}, and window {window.name} closes "
            f"in {_seconds(left)}: it is not begun"
        )
        if needed > window.duration.total_seconds():
            text += (
                f"; the window is never long enough ({format_duration(window.duration)}): lengthen "
                "it, or take spec.window away for this step"
            )
        raise WaitingForWindow(text, min(_LONGEST_PAUSE, left + _LEAST_SECONDS))

    @staticmethod
    async def _opening(session: Session, window: Window) -> tuple[datetime, Opening]:
        now = await database_now(session)
        return now, window.at(now)


def _closed(title: str, window: Window, now: datetime, opening: Opening) -> WaitingForWindow:
    which = f"window {window.name} ({window.schedule}, {window.time_zone})"
    if opening.next_opening is None:
        return WaitingForWindow(f"{title} waits for {which}, which never opens", _LONGEST_PAUSE)
    seconds = (opening.next_opening - now).total_seconds()
    when = opening.next_opening.strftime("%Y-%m-%d %H:%M UTC")
    text = f"{title} waits for {which}: it opens at {when}, in {_seconds(seconds)}"
    return WaitingForWindow(text, min(_LONGEST_PAUSE, max(_LEAST_SECONDS, seconds + 0.2)))


def _seconds(seconds: float) -> str:
    """Return a length of time as people say it: its two largest units."""
    rest = round(seconds)
    parts = []
    for name, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        count, rest = divmod(rest, length)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "0 s"
