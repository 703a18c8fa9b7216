"""Who manages what: the first resource that claims an object keeps it.

Another resource is refused (ConflictingManager) and told the owner, unless it names that owner in
its take-over annotation, or the owner was a resource of this very cluster that exists no more.
"""

from dataclasses import dataclass

from pgstrata.core.errors import ConflictingManager
from pgstrata.core.names import LockedObject
from pgstrata.core.resource import ObjectKey, ObjectStore
from pgstrata.engine.exclusive import Exclusive
from pgstrata.pg.session import Session

CLI_CLUSTER = "cli"
"""The cluster that claims of the command line are made out to; its manifests are not all known."""
ANYONE = "all"
"""The take-over value that names every owner: the command line's --take-over."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A resource somewhere, as claims name it."""

    cluster: str
    key: ObjectKey
    uid: str

    def __str__(self) -> str:
        return f"{self.cluster}/{self.key.namespace}/{self.key.name}"

    def is_same_resource(self, other: "Owner") -> bool:
        """The same name in the same cluster; another uid means that it was made anew."""
        return (self.cluster, self.key) == (other.cluster, other.key)


@dataclass(frozen=True, slots=True)
class _ClaimRow:
    object: str
    cluster: str
    kind: str
    namespace: str
    name: str
    uid: str


async def owner_of(session: Session, object_: LockedObject) -> Owner | None:
    """Return who has claimed the object, or None. The control schema must exist."""
    row = await session.one_or_none("engine/read_claim", _ClaimRow, object=object_.text)
    if row is None:
        return None
    return Owner(row.cluster, ObjectKey(row.kind, row.namespace, row.name), row.uid)


async def check_claim(
    current: Owner | None,
    wanted: Owner,
    object_: LockedObject,
    *,
    take_over: str | None,
    store: ObjectStore,
) -> bool:
    """Return whether `wanted` still has to write its claim. Raises ConflictingManager."""
    if current == wanted:
        return False
    if current is None or current.is_same_resource(wanted):
        return True
    if take_over in {ANYONE, str(current)}:
        return True
    if current.cluster == wanted.cluster != CLI_CLUSTER and not await store.exists(current.key):
        return True
    raise ConflictingManager(
        f"{object_} is managed by {current.key.kind} {current.key.namespace}/{current.key.name} of "
        f"cluster {current.cluster}; to move it here set the annotation "
        f'pgstrata.dev/take-over: "{current}"'
        + (" (or run apply --take-over)" if wanted.cluster == CLI_CLUSTER else "")
    )


async def write_claim(work: Exclusive, owner: Owner) -> None:
    """Claim the run's object, behind its fence."""
    async with work.journalled():
        await work.session.run(
            "engine/write_claim",
            object=work.fence.object.text,
            cluster=owner.cluster,
            kind=owner.key.kind,
            namespace=owner.key.namespace,
            name=owner.key.name,
            uid=owner.uid,
        )


async def release_claim(session: Session, object_: LockedObject, owner: Owner) -> bool:
    """Give the object free where `owner` has it; return whether it had."""
    rows = await session.run(
        "engine/release_claim",
        object=object_.text,
        cluster=owner.cluster,
        kind=owner.key.kind,
        namespace=owner.key.namespace,
        name=owner.key.name,
        uid=owner.uid,
    )
    return rows > 0
