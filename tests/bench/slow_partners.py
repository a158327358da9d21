"""Slow partners of the benchmark, all in one process: `python -m tests.bench.slow_partners PORT …`.

They answer late or never.
"""

import argparse
import asyncio
import re
from collections.abc import Callable
from functools import partial

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_HEAD_ENDS = b"\r\n\r\n"
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")

Answer = Callable[[asyncio.WriteTransport], None]


class Sink(asyncio.Protocol):
    """This answers each request once it is whole."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._received = b""
        self._skipped = 0  # bytes of a body that are still to come

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # a server's always is
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        while data:
            skipped = min(self._skipped, len(data))
            self._skipped -= skipped
            self._received, data = self._received + data[skipped:], b""
            head, is_whole, rest = self._received.partition(_HEAD_ENDS)
            if is_whole:
                length = _LENGTH.search(head)
                self._skipped, self._received, data = int(length[1]) if length else 0, b"", rest
                self._answer(self._transport)


def _answer_after(seconds: float, transport: asyncio.WriteTransport) -> None:
    asyncio.get_running_loop().call_later(seconds, transport.write, _ANSWER)


def _never_answer(_transport: asyncio.WriteTransport) -> None:
    pass


async def serve(ports: list[int], answer: Answer) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    for port in ports:
        await loop.create_server(lambda: Sink(answer), "127.0.0.1", port, backlog=1024)
    await loop.create_future()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.slow_partners")
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--after", type=float, help="seconds until they answer, else never")
    arguments = parser.parse_args()
    is_late = arguments.after is not None
    answer: Answer = partial(_answer_after, arguments.after) if is_late else _never_answer
    asyncio.run(serve(arguments.ports, answer))
