"""status: how soon a user who applies a SchemaVersion sees that somebody has noticed it.

200 SchemaVersions are there and Ready, in a real API server and a real PostgreSQL. Then one after
the other is made by `kubectl apply`, or one that is there is raised to its next version. Two times
are taken, both to the first status that speaks of the new generation, as a watch on the API server
sees it: from the start of kubectl's process, and from the moment in which the same watch showed
the object itself, which leaves kubectl's own time out.
"""

import subprocess
import time
from dataclasses import dataclass

from bench.cluster import PATIENT_LEASE, Cluster, cluster, document, name_of, schema_version
from bench.figures import Figure, Goal, Measurement, median, percentile
from bench.manifests import Manifest
from bench.options import Options
from bench.pgstrata_process import Operator
from bench.watch import Watch

RESOURCES = 200
APPLIED = 30
"""How many are made, and how many are changed."""
GOAL = Goal("<", 0.5)
_FILL_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Seconds from the start of kubectl, and of them those after the API server had the object."""

    from_kubectl: float
    from_accepted: float

    @property
    def kubectl_alone(self) -> float:
        return self.from_kubectl - self.from_accepted


def measure(options: Options) -> Measurement:
    """Make and change resources in turns."""
    del options  # p95 wants many applies of one run, not many runs
    made: list[_Seen] = []
    changed: list[_Seen] = []
    with (
        cluster() as bed,
        Operator.running(
            bed.plane.kubeconfig, bed.directory / "operator", PATIENT_LEASE
        ) as operator,
    ):
        bed.fill(operator, RESOURCES, _FILL_SECONDS)
        with Watch(bed.plane.kubeconfig, bed.directory) as watch:
            for number in range(APPLIED):
                new = RESOURCES + number
                made.append(_apply(bed, watch, schema_version(new), name_of(new), 1))
                raised = schema_version(number, "002")
                changed.append(_apply(bed, watch, raised, name_of(number), 2))
    return Measurement(
        (*_figures("made", made), *_figures("changed", changed)),
        (
            f"{RESOURCES} SchemaVersions on one database are Ready; then {APPLIED} are made and "
            f"{APPLIED} are changed, in turns; a real API server and a real PostgreSQL.",
            "kubectl alone: from the start of its process until the API server has the object.",
        ),
    )


def _figures(what: str, seen: list[_Seen]) -> tuple[Figure, ...]:
    beside = "kubectl alone"
    whole = [one.from_kubectl for one in seen]
    after = [one.from_accepted for one in seen]
    kubectl = [one.kubectl_alone for one in seen]
    kubectl_p95 = percentile(kubectl, 95)
    return (
        Figure(
            f"{what}: kubectl's start to status, p95",
            percentile(whole, 95),
            "s",
            f"{beside}, p95",
            kubectl_p95,
            GOAL,
        ),
        Figure(
            f"{what}: accepted to status, p95",
            percentile(after, 95),
            "s",
            f"{beside}, p95",
            kubectl_p95,
            GOAL,
        ),
        Figure(
            f"{what}: accepted to status, median",
            median(after),
            "s",
            f"{beside}, median",
            median(kubectl),
        ),
    )


def _apply(bed: Cluster, watch: Watch, manifest: Manifest, name: str, generation: int) -> _Seen:
    started = time.monotonic()
    try:
        bed.plane.kubectl("apply", "-f", "-", input=document(manifest))
    except subprocess.TimeoutExpired as error:
        raise AssertionError(f"kubectl does not end: {error}") from error
    answered = watch.answered(name, generation)
    watch.ready(name, generation)  # the next one meets an operator that is at rest again
    return _Seen(answered - started, answered - watch.accepted(name, generation))
