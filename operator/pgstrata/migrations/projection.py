"""Projects the journal onto the status: a copy for people that can be rebuilt. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from itertools import takewhile

from pgstrata.core.api_status import ConditionStatus, WorkState
from pgstrata.core.errors import PgstrataError, VerificationFailed
from pgstrata.core.reasons import Reason
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
from pgstrata.migrations.verify_step import verification_due
from pgstrata.migrations.versions import Version, read_file_name
from pgstrata.pg.script import checksum


class _Completion:
    """What the journal says of single phases, beside what is asked for."""

    def __init__(self, journal: Journal, order: Schedule) -> None:
        self._journal = journal
        self._completed = journal.completed
        self._asked = frozenset((v.version.key, p) for v, p in order.phases)
        self._keeps = frozenset(owned.version for owned in journal.owned)

    def is_asked(self, version: SourceVersion, phase: Phase) -> bool:
        return (version.version.key, phase) in self._asked

    def has(self, version: SourceVersion, phase: Phase) -> bool:
        """Whether a phase of one version is carried out, and its verify files held."""
        return self.is_carried_out(version, phase) and (
            verification_due(version, phase, self._journal) is None
        )

    def is_carried_out(self, version: SourceVersion, phase: Phase) -> bool:
        """Whether nothing of a phase of one version is left to be run.

        A later phase without files is marked in its turn, after the earlier phases of all versions;
        a version that is done with its last file does not wait for that. A contract for which there
        is no file needs no completing, unless it has a trigger to drop.
        """
        if (version.version.key, phase.value) in self._completed:
            return True
        if version.of_phase(phase) or phase is Phase.EXPAND:
            return False
        if phase is Phase.CONTRACT:
            return version.version.key not in self._keeps
        return self.is_asked(version, phase)


def reached(source: MigrationSource, journal: Journal, order: Schedule) -> list[SourceVersion]:
    """Return the source's versions that the schema has, lowest first: all is done up to Migrate, as
    far as that was asked for, of each and of all below it. Contract takes the old shape away and
    gives no new one. What was added below a version that stands is refused and takes nothing away.
    """
    completion = _Completion(journal, order)
    touched = journal.touched
    highest = max(map(Version, touched), default=Version("0"))
    standing = (v for v in source.versions if v.version.key in touched or not v.version < highest)

    def is_reached(version: SourceVersion) -> bool:
        wanted = [p for p in (Phase.EXPAND, Phase.MIGRATE) if completion.is_asked(version, p)]
        return bool(wanted) and all(completion.has(version, p) for p in wanted)

    return list(takewhile(is_reached, standing))


def _above(source: MigrationSource, journal: Journal) -> list[str]:
    """Return the versions above the target that the schema has, lowest first, as their files spell
    them: a target that was set back is refused and takes nothing away."""
    done = {Version(one.version) for one in journal.phases if one.phase == Phase.MIGRATE}
    spelled = {one.version: read_file_name(one.file).version.text for one in journal.files}
    return [spelled.get(v.key, v.key) for v in sorted(done) if v > source.target]


def complete(
    source: MigrationSource, journal: Journal, order: Schedule, phase: Phase
) -> list[SourceVersion]:
    """Return the versions of which, as of all below them, the phase and those before it are
    complete, lowest first."""
    completion = _Completion(journal, order)
    wanted = _through(phase)
    return list(takewhile(lambda v: all(completion.has(v, p) for p in wanted), source.versions))


def _through(phase: Phase) -> list[Phase]:
    order = list(Phase)
    return order[: order.index(phase) + 1]


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
    done = [one.version.text for one in reached(source, journal, order)]
    done += _above(source, journal)
    completed = journal.completed
    target = source.target.key
    last = [p for p in Phase if (target, p.value) in completed]
    running = (p for v, p in order.phases if (v.version.key, p.value) not in completed)
    return {
        "current_version": done[-1] if done else None,
        "target_version": source.target.text,
        "phase": next(running, last[-1] if last else None),
        "applied_count": len(done),
        "versions": tuple(_versions(source, journal, half_done)) or None,
        "expanded_through": _last(complete(source, journal, order, Phase.EXPAND)),
        "migrated_through": _last(complete(source, journal, order, Phase.MIGRATE)),
        "contracted_through": _last(complete(source, journal, order, Phase.CONTRACT)),
        "temporary": tuple(map(_temporary, journal.owned)) or None,
    }


def _last(versions: Sequence[SourceVersion]) -> str | None:
    return versions[-1].version.text if versions else None


def _temporary(owned: Owned) -> TemporaryObject:
    return TemporaryObject(
        object=f"pgstrata.{owned.name}()",
        table=owned.table_name,
        purpose=owned.purpose,
        since=owned.made_at.astimezone(UTC),
        until=owned.until,
    )


def conditions(
    source: MigrationSource, journal: Journal, order: Schedule, error: PgstrataError | None = None
) -> Iterator[tuple[str, ConditionStatus, Reason, str]]:
    """Yield the conditions for `kubectl wait`, of the target and of all below it, as Reporter.flag
    takes them: type, status, reason, message.

    Args:
        error: what ended the run, where anything did.
    """
    for type_, phase in _CONDITIONS.items():
        text = f"{phase.value} of version {source.target} is"
        if len(complete(source, journal, order, phase)) == len(source.versions):
            yield type_, ConditionStatus.TRUE, Reason.SUCCEEDED, f"{text} complete"
            continue
        text += " not complete"
        reason = Reason.PROGRESSING
        if isinstance(error, VerificationFailed):
            reason, text = error.reason, f"{text}: {error}"
        elif (files := _awaited(source, journal, order, phase)) is not None:
            text += f": {files} has not held yet"
        yield type_, ConditionStatus.FALSE, reason, text


_CONDITIONS = {
    "Expanded": Phase.EXPAND,
    "Migrated": Phase.MIGRATE,
    "Contracted": Phase.CONTRACT,
}


def _awaited(
    source: MigrationSource, journal: Journal, order: Schedule, phase: Phase
) -> str | None:
    """Return the verify files that keep a phase from being complete now, None where others do."""
    completion = _Completion(journal, order)
    for wanted in _through(phase):
        for version in source.versions:
            if not completion.is_carried_out(version, wanted):
                return None
            if verification_due(version, wanted, journal) is not None:
                return ", ".join(file.file for file in version.verify)
    return None


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
