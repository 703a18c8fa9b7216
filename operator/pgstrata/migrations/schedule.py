"""In which order the phases of which versions run, and where that ends for now. Pure.

All Expand, then all Migrate, then all Contract, each in version order, as far as the spec asks: by
`through` for all versions, by `contractThrough` for the lower ones. A barrier in a file finishes
all phases of its version before any later version starts. Called by plan.py and projection.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from pgstrata.core.errors import InvalidSpec
from pgstrata.migrations.source import MigrationSource, SourceVersion
from pgstrata.migrations.spec import Phase, SchemaVersionSpec, Through
from pgstrata.migrations.versions import Version


@dataclass(frozen=True, slots=True)
class Asked:
    """How far a spec asks to go."""

    through: Through
    contract_through: Version | None = None

    def includes(self, version: Version, phase: Phase) -> bool:
        """Whether this phase of this version is asked for."""
        if self.contract_through is not None and version <= self.contract_through:
            return True
        return list(Phase).index(phase) <= list(Through).index(self.through)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The phases to run, in order."""

    phases: tuple[tuple[SourceVersion, Phase], ...]
    waits: str | None = None
    """Why versions behind a barrier are left out, as a sentence."""

    def of(self, version: SourceVersion) -> tuple[Phase, ...]:
        """The phases of one version that are in it."""
        return tuple(phase for v, phase in self.phases if v.version == version.version)


def asked_by(spec: SchemaVersionSpec) -> Asked:
    """Read how far a spec asks to go. Raises InvalidSpec."""
    if spec.contract_through is None:
        return Asked(spec.through)
    limit = Version(spec.contract_through)
    if limit > Version(spec.version):
        raise InvalidSpec(
            f"spec.contractThrough {limit} is above spec.version {spec.version}: a version cannot "
            "be contracted before it is expanded"
        )
    return Asked(spec.through, limit)


def schedule(
    source: MigrationSource, asked: Asked, completed: Collection[tuple[str, str]] = ()
) -> Schedule:
    """Return what is to run up to the target, whether it was run already or not.

    Args:
        completed: Version.key and phase of what is complete: a barrier behind which all is done
            holds nothing, whatever is asked for now.
    """
    phases: list[tuple[SourceVersion, Phase]] = []
    segments = _segments(source.versions)
    for number, segment in enumerate(segments):
        phases += [(v, p) for p in Phase for v in segment if asked.includes(v.version, p)]
        last = segment[-1]
        missing = [
            p
            for p in last.phases
            if not asked.includes(last.version, p) and (last.version.key, p.value) not in completed
        ]
        if missing and number + 1 < len(segments):
            after = segments[number + 1][0].version
            return Schedule(
                tuple(phases),
                f"version {after} and later wait behind the barrier of version {last.version}, "
                f"whose {missing[0].value} was not asked for: set spec.contractThrough to "
                f'"{last.version}", or spec.through to {missing[-1].value}',
            )
    return Schedule(tuple(phases))


def _segments(versions: Sequence[SourceVersion]) -> list[list[SourceVersion]]:
    """Cut behind each version that has a barrier."""
    segments: list[list[SourceVersion]] = [[]]
    for version in versions:
        segments[-1].append(version)
        if version.is_barrier:
            segments.append([])
    return [segment for segment in segments if segment]
