"""A way to a server that takes its time: what is sent arrives later, in both directions."""

import socket
import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Self


class FarAway:
    """Listens on loopback and hands on to another port there, each piece after a delay."""

    def __init__(self, port: int, seconds: float) -> None:
        self._to = port
        self._seconds = seconds
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self._acceptor = threading.Thread(target=self._accept, daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port = self._listener.getsockname()[1]
        assert isinstance(port, int)
        return port

    def __enter__(self) -> Self:
        self._acceptor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._acceptor.join()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener is closed
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._to))
                self._open += near, far
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=ends, daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while piece := source.recv(65536):
                time.sleep(self._seconds)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
