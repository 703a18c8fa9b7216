"""The limit beside which backfill_beside.py shows a writer's p99: what the writer feels of a
process that computes in the rhythm of batches beside writers, and asks nothing of the database.

`python -m bench.computing SECONDS`. On two cores, which the server, the writer and all else share,
a statement may have to wait for its turn whoever computes there.
"""

import sys
import time

from pgstrata.migrations.backfill.pace import BESIDE_SECONDS, PAUSE_RATIO


def main(seconds: float) -> None:
    """Compute and pause in turns."""
    end = time.monotonic() + seconds
    while (begun := time.monotonic()) < end:
        while time.monotonic() - begun < BESIDE_SECONDS:
            pass
        time.sleep(PAUSE_RATIO * BESIDE_SECONDS)


if __name__ == "__main__":
    main(float(sys.argv[1]))
