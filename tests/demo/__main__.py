"""`make demo`: the main job on real input, from kubectl apply to Ready, beside a writer.

Applies examples/api-monitoring at version 000, fills it with metrics, keeps an application writing,
and asks for the versions up to 003 as Git commits would: indexes, expansion, backfills, and the
contract, approved by hand and run in a maintenance window. Shows what that did to the writer and to
the dashboard's queries. Ends by itself; on a terminal it stays up until Ctrl-C.
"""

import argparse
import signal
import sys
import time

from tests.demo.play import Played, indent, play
from tests.demo.stage import Stage, stage

METRICS = 200_000


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
            played = play(running, options.metrics, show)
            _epilogue(running, played)
            if sys.stdout.isatty():
                _stay(running)
    except KeyboardInterrupt:
        return 130
    return 0 if not played.report.errors else 1


def _epilogue(running: Stage, played: Played) -> None:
    print("\n$ kubectl get pgstrata")
    indent(running.control_plane.kubectl("get", "pgstrata").stdout)
    print(f"\n$ pgstrata status --database-url {running.uri}")
    indent(running.pgstrata("status", "--database-url", running.uri))
    print(f"\n$ pgstrata history --database-url {running.uri}")
    indent(running.pgstrata("history", "--database-url", running.uri))
    print("\nThe writer, beside the migrations (times count from when a statement was due):")
    report = played.report
    stall = report.longest_stall
    indent(
        f"{report.count} statements, p50 {report.p50_ms:.1f} ms, p99 {report.p99_ms:.1f} ms, "
        f"longest stall {stall.ms:.0f} ms ({stall.statement}), errors: {report.errors or 'none'}"
        if stall
        else "it wrote nothing"
    )
    indent(played.filled)
    print("\nThe dashboard's queries, before and after (median of PostgreSQL's own times):")
    for old, new in zip(played.before, played.after, strict=True):
        indent(
            f"{old.name}: {old.median_ms:.1f} ms -> {new.median_ms:.1f} ms\n"
            f"    before: {old.plan}\n    after:  {new.plan}"
        )


def _stay(running: Stage) -> None:
    print("\nEverything is still up. Look around, then press Ctrl-C:")
    indent(f"export KUBECONFIG={running.control_plane.kubeconfig}")
    indent(f"psql '{running.uri}'")
    signal.pause()


if __name__ == "__main__":
    sys.exit(main())
