"""TCP ports on loopback for servers that take no inherited socket (PostgreSQL, pgbouncer)."""

import secrets
import socket

LOWEST, HIGHEST = 15000, 32000
"""Below the kernel's usual range for outgoing connections, so that while a server is down no
client's own socket can take its port."""


def free_port() -> int:
    """Return a port that nobody listens on now; it can be lost again before it is used."""
    while True:
        port = LOWEST + secrets.randbelow(HIGHEST - LOWEST)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
