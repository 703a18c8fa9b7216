"""Run one server and end it, with all its descendants, when whoever asked for it is gone.

Executed by process.py as a program of its own, one per server; nothing but the standard library.
A parent-death signal alone would not do: the kernel forgets it when the server changes its user
(setpriv), sends it when the *thread* that started the server ends, and cannot end the frozen
children of a PostgreSQL. So this process waits on two things at once: the server's end, and the
end of a pipe whose other side only the test process holds. The kernel closes that pipe however
the test process dies, SIGKILL included. As "subreaper" it inherits the server's orphans, and so
finds them all.

    supervisor.py FAREWELL COMMAND...    FAREWELL: number of the signal sent first to an orphan
    stdin: the pipe; stdout: the server's pid, one line; stderr: the log of the server
"""

import contextlib
import ctypes
import os
import select
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
GRACE = 3.0
"""Seconds between FAREWELL and SIGKILL: PostgreSQL removes its shared memory in that time."""


def descendants(root: int) -> list[int]:
    """Return the pids below `root`, nearest first, as /proc shows them now."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry))
    found = list(children.get(root, ()))
    for pid in found:
        found.extend(children.get(pid, ()))
    return found


def _prctl(option: int, argument: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, argument, 0, 0, 0)


def _launch(command: list[str]) -> int:
    """Start the server in a session of its own: a Ctrl-C in the terminal is not for it."""
    pid = os.fork()
    if pid:
        return pid
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    try:
        os.execvp(command[0], command)  # noqa: S606 - no shell is wanted
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
        os._exit(127)


def _end(pid: int, pidfd: int, farewell: int) -> None:
    signal.pidfd_send_signal(pidfd, farewell)
    for process in (pid, *descendants(pid)):
        with contextlib.suppress(OSError):
            os.kill(process, signal.SIGCONT)
    if not select.select([pidfd], [], [], GRACE)[0]:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def _end_orphans() -> None:
    """Kill and reap what the server left behind; a second look finds the children of the dead."""
    while orphans := descendants(os.getpid()):
        for pid in orphans:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.01)


def main() -> int:
    """Return the server's exit code, 128 + n if signal n ended it."""
    farewell, command = int(sys.argv[1]), sys.argv[2:]
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pid = _launch(command)
    pidfd = os.pidfd_open(pid)
    os.write(1, f"{pid}\n".encode())
    ready = select.select([0, pidfd], [], [])[0]
    if pidfd not in ready:
        _end(pid, pidfd, farewell)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    _end_orphans()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
