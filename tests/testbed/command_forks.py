"""A process that has imported the command line once, and forks for every run of it.

Importing takes far longer than most runs do. A run is a process of its own all the same, with its
own arguments, environment, streams, signals and exit status. Started by command_line.py, as a
program: python command_forks.py SOCKET.

One connection is one run. The client sends a JSON list [arguments, environment] with the
descriptors of standard input, output and error; it is told the pid in a line, and the exit status
in another.
"""

import array
import json
import os
import signal
import socket
import sys
from pathlib import Path

LONGEST_REQUEST = 65536


def receive(connection: socket.socket) -> tuple[list[str], dict[str, str], list[int]]:
    """Return arguments, environment, and the descriptors of the three streams."""
    room = socket.CMSG_SPACE(3 * array.array("i").itemsize)
    data, ancillary, _, _ = connection.recvmsg(LONGEST_REQUEST, room)
    descriptors = array.array("i")
    for _, _, content in ancillary:
        descriptors.frombytes(content)
    arguments, environment = json.loads(data)
    return arguments, environment, list(descriptors)


def attend(connection: socket.socket) -> list[str] | None:
    """Fork a run and see it through; return its arguments in the run itself, None beside it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    arguments, environment, streams = receive(connection)
    pid = os.fork()
    if pid == 0:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        connection.close()
        os.environ.clear()
        os.environ.update(environment)
        return arguments
    connection.sendall(f"{pid}\n".encode())
    _, status = os.waitpid(pid, 0)
    connection.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())
    return None


def serve(path: Path) -> list[str]:
    """Take connections for ever; returns, with arguments, only in the process of a run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that attend
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        while True:
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    listener.close()
                    arguments = attend(connection)
                    if arguments is None:
                        os._exit(0)
                    return arguments


if __name__ == "__main__":
    import pgstrata.cli.plan
    import pgstrata.cli.status  # noqa: F401  imported late by the command line itself
    from pgstrata.cli.main import main

    sys.argv = ["pgstrata", *serve(Path(sys.argv[1]))]
    main()
