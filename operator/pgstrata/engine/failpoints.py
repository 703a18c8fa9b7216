"""Places where a kill test ends the process: exactly there, without cleaning up.

Outside tests the environment names nothing and a failpoint costs one comparison. A test first runs
with PGSTRATA_FAILPOINT_TRACE=<file>, which lists every place passed; then it runs once per line
with PGSTRATA_FAILPOINT=<name>#<n>, which ends the process at the nth passing of that name.
"""

import os
from collections import Counter
from pathlib import Path

EXIT_STATUS = 86
"""The status of a process that died at a failpoint, so that no other death is taken for it."""

_WANTED = os.environ.get("PGSTRATA_FAILPOINT", "")
_TRACE = os.environ.get("PGSTRATA_FAILPOINT_TRACE", "")
_passed: Counter[str] = Counter()


def failpoint(name: str) -> None:
    """Die here if a test asks for it."""
    if not (_WANTED or _TRACE):
        return
    _passed[name] += 1
    place = f"{name}#{_passed[name]}"
    if _TRACE:
        with Path(_TRACE).open("a", encoding="utf-8") as file:
            file.write(f"{place}\n")
    if place == _WANTED:
        os._exit(EXIT_STATUS)
