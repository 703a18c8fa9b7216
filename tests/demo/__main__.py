"""`make demo`: the main job on real input, from kubectl apply to Ready, beside a writer.

Applies examples/api-monitoring at version 000, fills it with metrics, keeps an application writing,
asks for version 001 as a Git commit would, and shows what that did to the writer and to the
dashboard's queries. Ends by itself; on a terminal it stays up until Ctrl-C.
"""

import argparse
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime

from tests.demo.stage import ROOT, Stage, stage
from tests.testbed.monitoring.dashboard import Measurement, measure
from tests.testbed.monitoring.generator import fill
from tests.testbed.monitoring.latencies import Report
from tests.testbed.monitoring.writer_process import WriterProcess

METRICS = 200_000
UNDISTURBED_SECONDS = 3.0


def main() -> int:
    """Play the demo; return the exit status."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--metrics", type=int, default=METRICS, help="rows of api_metrics")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started = time.monotonic()

    def show(line: str) -> None:
        print(f"{time.monotonic() - started:6.1f}s  {line}", flush=True)

    try:
        with stage(show) as running:
            report = _play(running, options.metrics, show)
            if sys.stdout.isatty():
                _stay(running)
    except KeyboardInterrupt:
        return 130
    return 0 if not report.errors else 1


def _play(running: Stage, metrics: int, show: Callable[[str], None]) -> Report:
    """Tell the story; return what the writer saw."""
    running.control_plane.kubectl(
        "create", "secret", "generic", "metrics-app", f"--from-literal=uri={running.uri}"
    )
    running.commit_version("000")
    show("$ kubectl apply -f repository   # version 000, the existing schema")
    _indent(running.apply())
    running.wait_until_ready(lambda line: show(f"  {line}"))
    counts = fill(running.uri, metrics, until=datetime.now(UTC).replace(tzinfo=None))
    show(f"filled with {counts.api_metrics:,} metrics of {counts.users:,} users")

    with running.postgres.connect("metrics") as connection:
        before = measure(connection)
        with WriterProcess(running.uri) as writer:
            show("an application of version 000 writes and reads, and goes on doing so")
            threading.Event().wait(UNDISTURBED_SECONDS)
            running.commit_version("001")
            show('$ git commit -m "Add the indexes"; kubectl apply -f repository   # version 001')
            _indent(running.apply())
            running.wait_until_ready(lambda line: show(f"  {line}"))
            report = writer.stop()
        after = measure(connection)

    _epilogue(running, report, before, after)
    return report


def _epilogue(
    running: Stage, report: Report, before: list[Measurement], after: list[Measurement]
) -> None:
    print("\n$ kubectl get pgstrata")
    _indent(running.control_plane.kubectl("get", "pgstrata").stdout)
    print("\n$ pgstrata status --database-url ...")
    _indent(_pgstrata_status(running))
    print("\nThe writer, beside the migration (times count from when a statement was due):")
    stall = report.longest_stall
    _indent(
        f"{report.count} statements, p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms, "
        f"longest stall {stall.ms:.0f} ms ({stall.statement}), errors: {report.errors or 'none'}"
        if stall
        else "it wrote nothing"
    )
    print("\nThe dashboard's queries, before and after (median of PostgreSQL's own times):")
    for old, new in zip(before, after, strict=True):
        _indent(
            f"{old.name}: {old.median_ms:.1f} ms -> {new.median_ms:.1f} ms\n"
            f"    before: {old.plan}\n    after:  {new.plan}"
        )


def _pgstrata_status(running: Stage) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pgstrata", "status", "--database-url", running.uri],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return "\n".join(line[:150].rstrip() for line in done.stdout.splitlines())


def _stay(running: Stage) -> None:
    print("\nEverything is still up. Look around, then press Ctrl-C:")
    _indent(f"export KUBECONFIG={running.control_plane.kubeconfig}")
    _indent(f"psql '{running.uri}'")
    signal.pause()


def _indent(text: str) -> None:
    print("\n".join(f"        {line}" for line in text.strip("\n").splitlines()), flush=True)


if __name__ == "__main__":
    sys.exit(main())
