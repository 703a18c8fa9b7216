"""Projects the journal onto the status: a copy for people that can be rebuilt. Pure."""

from collections.abc import Iterable, Mapping
from datetime import UTC
from itertools import takewhile

from pgstrata.core.api_status import WorkState
from pgstrata.engine.owned import Owned
from pgstrata.migrations.journal import DonePhase, Journal
from pgstrata.migrations.schedule import Schedule
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import (
    VERSIONS_SHOWN,
    Phase,
    PhaseStatus,
    TemporaryObject,
    VersionStatus,
)
from pgstrata.migrations.versions import Version
from pgstrata.pg.script import checksum


def reached(source: MigrationSource, journal: Journal, order: Schedule) -> list[SourceVersion]:
    """Return the versions that the schema has, lowest first: all is done up to Migrate, as far as
    that was asked for, of each and of all below it. Contract takes the old shape away and gives no
    new one.

    A later phase without files is marked in its turn, after the earlier phases of all versions; a
    version that is done with its last file does not wait for that.
    """
    completed = journal.completed

    def is_reached(version: SourceVersion) -> bool:
        phases = [p for p in order.of(version) if p is not Phase.CONTRACT]
        wanted = [p for p in phases if p is Phase.EXPAND or version.of_phase(p)]
        return bool(phases) and all((version.version.key, p.value) in completed for p in wanted)

    return list(takewhile(is_reached, source.versions))


def facts(
    source: MigrationSource,
    journal: Journal,
    order: Schedule,
    half_done: WorkState = WorkState.RUNNING,
) -> dict[str, object]:
    """Return the status fields that the journal decides.

    Args:
        half_done: the state of a phase of which something stands, and not all.
    """
    done = reached(source, journal, order)
    completed = journal.completed
    target = source.target.key
    last = [p for p in Phase if (target, p.value) in completed]
    running = (p for v, p in order.phases if (v.version.key, p.value) not in completed)
    return {
        "current_version": done[-1].version.text if done else None,
        "target_version": source.target.text,
        "phase": next(running, last[-1] if last else None),
        "applied_count": len(done),
        "versions": tuple(_versions(source, journal, half_done)) or None,
        "temporary": tuple(map(_temporary, journal.owned)) or None,
    }


def _temporary(owned: Owned) -> TemporaryObject:
    return TemporaryObject(
        object=f"pgstrata.{owned.name}()",
        table=owned.table_name,
        purpose=owned.purpose,
        since=owned.made_at.astimezone(UTC),
        until=owned.until,
    )


def is_complete(source: MigrationSource, journal: Journal, version: Version, phase: Phase) -> bool:
    """Whether a phase of the version, and all before it in versions and phases, are complete.

    A contract for which there is no file needs no completing, unless it has a trigger to drop.
    """
    order = list(Phase)
    keeps = {owned.version for owned in journal.owned}
    completed = journal.completed
    wanted = [
        (v, p)
        for v in source.versions
        if v.version <= version
        for p in order[: order.index(phase) + 1]
        if p is not Phase.CONTRACT or v.of_phase(p) or v.version.key in keeps
    ]
    return all((v.version.key, p.value) in completed for v, p in wanted)


def _versions(
    source: MigrationSource, journal: Journal, half_done: WorkState
) -> Iterable[VersionStatus]:
    touched = journal.touched
    done = {(p.version, p.phase): p for p in journal.phases}
    started = {(s.version, s.file): half_done for s in journal.steps}
    newest = [v for v in reversed(source.versions) if v.version.key in touched]
    for version in newest[:VERSIONS_SHOWN]:
        yield VersionStatus(
            version=version.version.text,
            name=version.name,
            checksum=checksum("\n".join(f.checksum for f in version.files)),
            phases=tuple(
                _phase(phase, done.get((version.version.key, phase.value)), version, started)
                for phase in Phase
                if version.of_phase(phase)
            ),
        )


def _phase(
    phase: Phase,
    done: DonePhase | None,
    version: SourceVersion,
    started: Mapping[tuple[str, str], WorkState],
) -> PhaseStatus:
    if done is not None:
        return PhaseStatus(
            phase=phase,
            state=WorkState.DONE,
            completed_at=done.completed_at.astimezone(UTC),
            duration_seconds=round(done.duration_ms / 1000, 3),
        )
    states = (started.get((version.version.key, f.file)) for f in version.of_phase(phase))
    return PhaseStatus(phase=phase, state=next(filter(None, states), WorkState.PENDING))
