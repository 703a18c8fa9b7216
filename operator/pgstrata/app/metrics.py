"""What /metrics tells: looks, queue, resources, Lease, streams. All names begin with pgstrata_.

Counted by reconciler.py as it goes; the rest is read from its owners when it is asked for.
"""

from collections import Counter as Tally
from collections.abc import Callable, Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pgstrata.app.streams import Refusal
from pgstrata.core.reasons import Situation
from pgstrata.core.resource import ObjectKey

_BUCKETS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 600.0, 3600.0)


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
        self._registry.register(_Labelled(self._resources))

    def gauge(self, name: str, text: str, read: Callable[[], float]) -> None:
        """Show a value that is read when it is asked for."""
        Gauge(name, text, registry=self._registry).set_function(read)

    def stream_ages(self, read: Callable[[], Mapping[str, float]]) -> None:
        """Show the ages of the watch streams."""

        def ages() -> GaugeMetricFamily:
            family = GaugeMetricFamily(
                "pgstrata_watch_stream_age_seconds",
                "Since a watch stream last delivered anything or was opened anew.",
                labels=("path",),
            )
            for path, age in sorted(read().items()):
                family.add_metric((path,), age)
            return family

        self._registry.register(_Labelled(ages))

    def refusals(self, read: Callable[[], Iterable[Refusal]]) -> None:
        """Show what the API server refuses to list or to watch."""

        def refused() -> GaugeMetricFamily:
            family = GaugeMetricFamily(
                "pgstrata_watch_refused",
                "1 where the API server refuses to list or to watch.",
                labels=("path", "verb"),
            )
            for each in read():
                family.add_metric((each.path, each.verb), 1)
            return family

        self._registry.register(_Labelled(refused))

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

    def _resources(self) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "pgstrata_resources",
            "Resources by what the last look found.",
            labels=("kind", "situation"),
        )
        tally = Tally((key.kind, situation.name) for key, situation in self._situations.items())
        for (kind, situation), count in sorted(tally.items()):
            family.add_metric((kind, situation.lower()), count)
        return family


class _Labelled(Collector):
    """One family of values whose labels are known only when it is asked for."""

    def __init__(self, read: Callable[[], Metric]) -> None:
        self._read = read

    def describe(self) -> Iterable[Metric]:
        return ()

    def collect(self) -> Iterator[Metric]:
        yield self._read()
