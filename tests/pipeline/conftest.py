"""A pump that runs in the test's own thread, against partners on loopback."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from postbacks import pipeline
from postbacks.callbacks import rendering
from postbacks.delivery.http.destinations import Destinations, parse_networks
from postbacks.delivery.http.requests_transport import RequestsTransport
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.loads import Loads
from postbacks.delivery.pump import BEAT_SECONDS, Pump
from postbacks.infrastructure.database import roles
from tests import database

Answer = Callable[[str, dict[str, str]], tuple[int, dict[str, str], bytes]]


class RecordingPartner:
    """An ad network that answers as the test says and remembers what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self.requests: list[tuple[str, str, dict[str, str], bytes]] = []
        partner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:  # the library's name
                headers = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(headers.get("content-length", 0)))
                status, extra, content = answer(self.path, headers)
                partner.requests.append((self.command, self.path, headers, body))
                self.send_response(status)
                for name, value in {**extra, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_POST = do_GET  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 256  # hundreds connect at once

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"

    def bodies(self) -> list[object]:
        return [json.loads(body) for *_, body in self.requests]

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def partner_answering() -> Iterator[Callable[[Answer], RecordingPartner]]:
    started: list[RecordingPartner] = []

    def start(answer: Answer) -> RecordingPartner:
        started.append(RecordingPartner(answer))
        return started[-1]

    yield start
    for partner in started:
        partner.stop()


@pytest.fixture
def ok_partner(
    partner_answering: Callable[[Answer], RecordingPartner],
) -> RecordingPartner:
    return partner_answering(lambda _path, _headers: (200, {}, b"ok"))


def pump_for(
    seconds: float,
    beat: Callable[[], bool],
    *,
    open_transport: Callable[[Destinations], Transport] = RequestsTransport,
    beat_seconds: float = BEAT_SECONDS,
    hand_on: Callable[[], bool] = lambda: True,
    loads: Loads | None = None,
) -> None:
    """Run a real pump as the worker, in this thread, until its time is over or a beat stops it."""
    with (
        database.as_role(roles.WORKER),
        open_transport(Destinations(parse_networks("127.0.0.0/8"))) as transport,
    ):
        loads = loads or Loads()
        Pump(
            transport=transport,
            decide=partial(pipeline.work, loads=loads),
            prepare=rendering.render_postbacks,
            beat=beat,
            beat_seconds=beat_seconds,
            hand_on=hand_on,
            loads=loads,
        ).run(seconds)


Run = Callable[..., None]


@pytest.fixture
def run_pump() -> Run:
    """Return a function that pumps until a condition holds, for at most some seconds."""

    def run(
        until: Callable[[], bool],
        *,
        seconds: float = 60.0,
        open_transport: Callable[[Destinations], Transport] = RequestsTransport,
        loads: Loads | None = None,
    ) -> None:
        deadline = time.monotonic() + seconds

        def beat() -> bool:
            with database.as_role(roles.WEB):
                return not until()

        pump_for(seconds, beat, open_transport=open_transport, beat_seconds=0.05, loads=loads)
        assert time.monotonic() < deadline, "The pump's time ran out."

    return run
