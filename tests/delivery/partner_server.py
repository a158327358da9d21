"""A partner on loopback that misbehaves in the ways that partners do."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

Behavior = Callable[[socket.socket], None]


class PartnerServer:
    """A TCP server whose every connection is handed to one behavior."""

    def __init__(self, behave: Behavior, tls: ssl.SSLContext | None = None) -> None:
        self.connections = 0
        self.requests: list[bytes] = []
        self.stopping = threading.Event()
        self._behave = behave
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}{path}"

    def next_request(self, connection: socket.socket) -> bytes:
        """Read one request, note it and return it; empty at the connection's end."""
        received = b""
        while b"\r\n\r\n" not in received:
            portion = connection.recv(65536)
            if not portion:
                return b""
            received += portion
        head, _, body = received.partition(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")),
            0,
        )
        while len(body) < length:
            body += connection.recv(65536)
        self.requests.append(head + b"\r\n\r\n" + body)
        return self.requests[-1]

    def stop(self) -> None:
        self.stopping.set()
        for opened in (self._listener, *self._open):
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(2)
        self._open.clear()
        self._threads.clear()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        with suppress(OSError), connection:
            if self._tls is None:
                self._open.append(connection)
                self._behave(connection)
            else:
                with self._tls.wrap_socket(connection, server_side=True) as wrapped:
                    self._open.append(wrapped)
                    self._behave(wrapped)


class Partners:
    """Starts servers for a test, one per behavior, and stops them after it."""

    def __init__(self) -> None:
        self._started: list[PartnerServer] = []

    def answering(self, *answers: bytes, tls: ssl.SSLContext | None = None) -> PartnerServer:
        """Answer the first request with the first answer and so on, then with the last one.

        A connection whose answer says `Connection: close` is closed.
        """

        def behave(connection: socket.socket) -> None:
            while server.next_request(connection):
                answer = answers[min(len(server.requests), len(answers)) - 1]
                connection.sendall(answer)
                if b"Connection: close" in answer:
                    return

        server = self.start(behave, tls)
        return server

    def dripping(self, beginning: bytes, drop: bytes) -> PartnerServer:
        """Answer with a beginning and then, every 20 ms, a drop that never completes it."""

        def behave(connection: socket.socket) -> None:
            server.next_request(connection)
            connection.sendall(beginning)
            while not server.stopping.wait(0.02):
                connection.sendall(drop)

        server = self.start(behave)
        return server

    def flooding(self, beginning: bytes, wave: bytes) -> PartnerServer:
        """Answer with a beginning and then wave after wave, as fast as they are taken."""

        def behave(connection: socket.socket) -> None:
            server.next_request(connection)
            connection.sendall(beginning)
            while not server.stopping.is_set():
                connection.sendall(wave)

        server = self.start(behave)
        return server

    def resetting(self, beginning: bytes) -> PartnerServer:
        """Answer with a beginning and then reset the connection."""

        def behave(connection: socket.socket) -> None:
            server.next_request(connection)
            connection.sendall(beginning)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

        server = self.start(behave)
        return server

    def silent(self) -> PartnerServer:
        """Accept connections and neither read nor write."""

        def behave(_connection: socket.socket) -> None:
            server.stopping.wait(5)

        server = self.start(behave)
        return server

    def start(self, behave: Behavior, tls: ssl.SSLContext | None = None) -> PartnerServer:
        server = PartnerServer(behave, tls)
        self._started.append(server)
        return server

    def stop(self) -> None:
        for server in self._started:
            server.stop()
