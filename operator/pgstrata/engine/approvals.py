"""Who has agreed to what: approvals by hash, kept in the control schema, good for one time each.

A look writes down which hashes are waited for, and takes what the annotation or --approve offers;
`pgstrata approve` does the same to a database. The approval is consumed in the transaction of the
last step that it covers, so that a run which dies midway goes on under it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from pgstrata.core.names import LockedObject
from pgstrata.pg.session import Session

ALL = "all"
"""What --approve says to agree to everything that is waited for. An annotation cannot: it stays."""


@dataclass(frozen=True, slots=True)
class Approval:
    """One hash that was waited for."""

    object: str
    hash: str
    what: str
    asked_at: datetime
    approved_at: datetime | None
    approved_by: str | None
    consumed_at: datetime | None

    @property
    def is_open(self) -> bool:
        """Whether somebody may agree to it."""
        return self.approved_at is None and self.consumed_at is None


@dataclass(frozen=True, slots=True)
class Approvals:
    """What is agreed to of what is waited for, and what was offered in vain."""

    approved: frozenset[str]
    stale: tuple[str, ...]
    """Offered, and neither waited for nor carried out: a plan that is no more."""


async def read_approvals(session: Session, object_: LockedObject) -> list[Approval]:
    """Return all that was ever asked of an object, newest first. The control schema must exist."""
    return await session.all("engine/read_approvals", Approval, object=object_.text)


async def settle_approvals(
    session: Session,
    object_: LockedObject,
    waited_for: Mapping[str, str],
    offered: Collection[str],
    by: str,
) -> Approvals:
    """Write down what is waited for, agree to what is offered of it, and say what is agreed to.

    Args:
        waited_for: hashes with what they cover, for people.
        offered: hashes that somebody agrees to.
        by: who offers them.
    """
    known = {a.hash: a for a in await read_approvals(session, object_)}
    if waited_for.keys() - known.keys() or any(
        a.is_open and a.hash not in waited_for for a in known.values()
    ):
        await session.run(
            "engine/ask_approvals",
            object=object_.text,
            hashes=list(waited_for),
            whats=list(waited_for.values()),
        )
    wanted = set(waited_for) & set(offered)
    for hash_ in sorted(wanted):
        if hash_ not in known or known[hash_].is_open:
            await approve(session, object_.text, hash_, by)
    good = {a.hash for a in known.values() if a.approved_at and not a.consumed_at}
    stale = [
        h for h in offered if h not in waited_for and not (h in known and known[h].consumed_at)
    ]
    return Approvals(frozenset((good & set(waited_for)) | wanted), tuple(stale))


async def approve(session: Session, object_: str, hash_: str, by: str) -> bool:
    """Agree to one hash that is waited for; return False where it is not."""
    rows = await session.run("engine/approve", object=object_, hash=hash_, by=by)
    return rows > 0


async def open_approvals(session: Session) -> list[Approval]:
    """Return all that waits in this database, oldest first. The control schema must exist."""
    return await session.all("engine/open_approvals", Approval)
