"""A sink for machines without nginx: `python -m tests.bench.stand_in_sink <port> <log>`.

It notes the moment and the key of each request, as nginx does for us.
"""

import asyncio
import re
import sys
import time

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok"
_END = b"\r\n\r\n"
_KEY = re.compile(rb"[?&]key=([^&\s]+)")


class Sink(asyncio.Protocol):
    """This answers each request that ends with its head; a body would need to be read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.head = b""

    def data_received(self, data: bytes) -> None:
        *requests, self.head = (self.head + data).split(_END)
        self.transport.write(_ANSWER * len(requests))
        with open(sys.argv[2], "a") as log:  # a path's own is slower
            for request in requests:
                if match := _KEY.search(request):
                    log.write(f"{time.time():.3f} {match[1].decode()}\n")


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
