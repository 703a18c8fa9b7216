"""Start servers and wait to be killed: `python -m tests.testbed.orphans postgres DIRECTORY 18`.

Run by the tests of the bed itself, which then look for survivors (see `survivors`).
"""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.testbed.control_plane import ControlPlane
from tests.testbed.node.configuration import SANDBOX_IMAGE
from tests.testbed.node.node import Node
from tests.testbed.polling import DeadlineExceeded, poll
from tests.testbed.postgres import PostgresServer
from tests.testbed.postgres_builds import find_postgres
from tests.testbed.supervisor import descendants

GONE_DEADLINE = 15.0


def survivors(kind: str, directory: Path, *arguments: str) -> set[int]:
    """SIGKILL a process that runs servers; return the pids below it that are left after 15 s.

    Fails if there were none to begin with.
    """
    command = [sys.executable, "-m", __name__, kind, str(directory), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = {int(pid) for pid in parent.stdout.readline().split()}
        assert len(pids) > 1, "no servers were started"
        parent.kill()
    try:
        poll(lambda: not _running(pids), GONE_DEADLINE, "the orphans are gone")
    except DeadlineExceeded:
        return _running(pids)
    return set()


def _running(pids: set[int]) -> set[int]:
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def _hold(kind: str, directory: Path, *arguments: str) -> None:
    if kind == "postgres":
        server = PostgresServer.create(find_postgres(int(arguments[0])), directory)
        server.freeze()  # the hard case: frozen backends notice nothing
    elif kind == "node":
        node = Node.start(directory, [Path(arguments[0])])
        node.kubectl("run", "pod", f"--image={SANDBOX_IMAGE}", "--image-pull-policy=Never")
        node.kubectl("wait", "pod/pod", "--for=condition=Ready", "--timeout=30s")
    else:
        ControlPlane.start(directory)
    print(*descendants(os.getpid()), flush=True)
    signal.pause()


if __name__ == "__main__":
    _hold(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
