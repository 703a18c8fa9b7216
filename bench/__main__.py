"""`python -m bench [--only=NAME]`: take measurements, print tables, write bench/out/NAME.json.

`make bench [ONLY=NAME]` calls it. Exit status 0: measured, whether or not goals are met; 1: a
measurement could not be taken; 2: usage.
"""

import argparse
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping

import psycopg

from bench import backfill, bundle, lock_queue, rest, resume, runner, status
from bench.figures import Measurement, table, write
from bench.options import Options
from bench.pgstrata_process import CommandFailed
from tests.testbed.polling import DeadlineExceeded
from tests.testbed.process import ServerDied
from tests.testbed.unavailable import Unavailable

MEASUREMENTS: Mapping[str, Callable[[Options], Measurement]] = {
    "runner": runner.measure,
    "status": status.measure,
    "rest": rest.measure,
    "lock-queue": lock_queue.measure,
    "backfill": backfill.measure,
    "resume": resume.measure,
    "bundle": bundle.measure,
}
_FAILURES = (
    Unavailable,
    CommandFailed,
    DeadlineExceeded,
    ServerDied,
    AssertionError,
    OSError,
    psycopg.Error,
    subprocess.SubprocessError,
)


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    default = Options()
    parser.add_argument("--only", choices=list(MEASUREMENTS), help="one measurement, not all")
    parser.add_argument("--runs", type=int, default=default.runs, help="repetitions (%(default)s)")
    parser.add_argument(
        "--select-seconds",
        type=float,
        default=default.select_seconds,
        help="lock-queue: how long the SELECT holds the table (%(default)g)",
    )
    parser.add_argument(
        "--whole", action="store_true", help="rest: a whole period of resyncs, 10 minutes and more"
    )
    given = parser.parse_args()
    options = Options(runs=given.runs, select_seconds=given.select_seconds, whole=given.whole)
    os.environ.pop("KUBECONFIG", None)  # a bench never touches a cluster that it did not start
    failed = 0
    for name in [given.only] if given.only else MEASUREMENTS:
        failed |= not _take(name, options)
    return int(failed)


def _take(name: str, options: Options) -> bool:
    """Return whether it could be measured."""
    print(f"{name}: measuring", file=sys.stderr, flush=True)
    try:
        measurement = MEASUREMENTS[name](options)
    except _FAILURES:
        traceback.print_exc()
        print(f"{name}: not measured", file=sys.stderr, flush=True)
        return False
    write(name, measurement)
    print(table(name, measurement), end="\n\n", flush=True)
    return True


if __name__ == "__main__":
    sys.exit(main())
