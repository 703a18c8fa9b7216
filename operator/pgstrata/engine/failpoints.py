"""Places where a kill test ends or stops the process: exactly there, without cleaning up.

Outside tests the environment names nothing and a failpoint costs one comparison. A test first runs
with PGSTRATA_FAILPOINT_TRACE=<file>, which lists every place passed; then it runs once per line
with PGSTRATA_FAILPOINT=<name>#<n>, which ends the process at the nth passing of that name.
PGSTRATA_FAILPOINT_PAUSE=<name>#<n> stops it there instead (SIGSTOP) until a SIGCONT comes: its
sessions stay open and its locks held, which is what a takeover has to cope with.
"""

import os
import signal
from collections import Counter
from pathlib import Path

EXIT_STATUS = 86
"""The status of a process that died at a failpoint, so that no other death is taken for it."""

_WANTED = os.environ.get("PGSTRATA_FAILPOINT", "")
_PAUSE = os.environ.get("PGSTRATA_FAILPOINT_PAUSE", "")
_TRACE = os.environ.get("PGSTRATA_FAILPOINT_TRACE", "")
_IS_ON = bool(_WANTED or _PAUSE or _TRACE)
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die or stop here if a test asks for it."""
    if not _IS_ON:
        return
    _passed[name] += 1
    place = f"{name}#{_passed[name]}"
    if _TRACE:
        with Path(_TRACE).open("a", encoding="utf-8") as file:
            file.write(f"{place}\n")
    if place == _WANTED:
        os._exit(EXIT_STATUS)
    if place == _PAUSE:
        os.kill(os.getpid(), signal.SIGSTOP)
