"""What /metrics tells: looks, queue, resources, Lease, streams. All names begin with pgstrata_.

Counted by reconciler.py as it goes; the rest is read from its owners when it is asked for.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pgstrata.core.reasons import Situation
from pgstrata.core.resource import ObjectKey

_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3600.0)


@dataclass(frozen=True, slots=True)
class Gauges:
    """Where the values come from that are read, not counted."""

    queue_depth: Callable[[], int]
    active_runs: Callable[[], int]
    leading: Callable[[], bool]
    stream_ages: Callable[[], Mapping[str, float]]


class Metrics:
    """A registry of its own, so that several operators in one process do not meet."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._duration = Histogram(
            "pgstrata_reconcile_duration_seconds",
            "How long looks took, by what they ended in.",
            ["kind", "outcome"],
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._situations: dict[ObjectKey, Situation] = {}

    def serve(self, gauges: Gauges) -> None:
        """Show these values too."""
        self._registry.register(_Gauges(gauges, self._situations))

    def looked(self, key: ObjectKey, outcome: str, seconds: float) -> None:
        """A look ended."""
        self._duration.labels(key.kind, outcome).observe(seconds)

    def found(self, key: ObjectKey, situation: Situation) -> None:
        """A look found a resource in this situation."""
        self._situations[key] = situation

    def forget(self, key: ObjectKey) -> None:
        """The resource is gone."""
        self._situations.pop(key, None)

    def text(self) -> bytes:
        """All metrics in the format of Prometheus."""
        return generate_latest(self._registry)


class _Gauges(Collector):
    def __init__(self, gauges: Gauges, situations: Mapping[ObjectKey, Situation]) -> None:
        self._gauges = gauges
        self._situations = situations

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        gauges = self._gauges
        yield _plain("pgstrata_queue_depth", "Keys waiting for a worker.", gauges.queue_depth())
        yield _plain("pgstrata_runs_active", "Looks and clean-ups under way.", gauges.active_runs())
        yield _plain("pgstrata_leader", "1 where this process holds the Lease.", gauges.leading())
        resources = GaugeMetricFamily(
            "pgstrata_resources",
            "Resources by what the last look found.",
            labels=("kind", "situation"),
        )
        tally = Tally((key.kind, situation.name) for key, situation in self._situations.items())
        for (kind, situation), count in sorted(tally.items()):
            resources.add_metric((kind, situation.lower()), count)
        yield resources
        ages = GaugeMetricFamily(
            "pgstrata_watch_stream_age_seconds",
            "Since a watch stream last delivered anything or was opened anew.",
            labels=("path",),
        )
        for path, age in sorted(gauges.stream_ages().items()):
            ages.add_metric((path,), age)
        yield ages


def _plain(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, value=float(value))
