"""The partner of the chaos run: `python -m tests.chaos.stand_in`.

It notes each request that has come in whole, before it answers, and is never killed. Its first line
of output names its ports. The path says how it answers: `/ok` at once, `/late` after a while,
`/hang` after seconds, and `/unsure` refuses each fifth postback the first time.
"""

import asyncio
import json
import sys
import time
from urllib.parse import parse_qs, urlsplit

PARTNERS = 4  # ports, which are lanes of their own
_SECONDS = {"/late": 0.15, "/hang": 5.0}  # until the answer
_ANSWER = "HTTP/1.1 {} -\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n"

_seen: list[tuple[float, str, str, str, int, int]] = []
_keys: set[str] = set()


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            headers = {
                name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)
            }
            await reader.readexactly(int(headers.get("content-length", "0")))
            url = urlsplit(first.split(" ")[1])
            if url.path == "/seen":
                start = int(url.query or "0")
                body = json.dumps(_seen[start:]).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            else:
                status = _note(url.path, url.query, headers)
                await asyncio.sleep(_SECONDS.get(url.path, 0))
                writer.write(_ANSWER.format(status).encode() + b"ok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # a client that was killed
    finally:
        writer.close()


def _note(path: str, query: str, headers: dict[str, str]) -> int:
    key = headers.get("idempotency-key", "00")
    is_refused = path == "/unsure" and key not in _keys and int(key[-2:], 16) % 5 == 0
    _keys.add(key)
    status = 503 if is_refused else 200
    event = parse_qs(query).get("event", [""])[0]
    signed_at = int(headers.get("webhook-timestamp", "0"))
    _seen.append((time.monotonic(), key, event, path, status, signed_at))
    return status


async def _serve() -> None:
    servers = [
        await asyncio.start_server(_answer, "127.0.0.1", 0, backlog=1024) for _ in range(PARTNERS)
    ]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    sys.stdout.write(json.dumps(ports) + "\n")
    sys.stdout.flush()
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(_serve())
