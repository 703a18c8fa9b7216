"""TCP ports on loopback for servers that take no inherited socket (PostgreSQL, pgbouncer)."""

import os
import secrets
import socket

LOWEST, HIGHEST = 15000, 32000
"""Below the kernel's usual range for outgoing connections, so that while a server is down no
client's own socket can take its port."""
_WORKERS = 16


def free_port() -> int:
    """Return a port that nobody listens on now; it can be lost again before it is used.

    Each worker of pytest-xdist has a share of its own, so that none takes the port of another's
    server that is down for a while.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    share = (HIGHEST - LOWEST) // _WORKERS
    while True:
        port = LOWEST + worker * share + secrets.randbelow(share)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
