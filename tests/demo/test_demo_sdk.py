"""The SDK client against a real server on loopback, which answers as the test says."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from postbacks.demo.networks import DemoApp
from postbacks.demo.sending.sdk_client import (
    EventsAnswer,
    RefusedError,
    RetryingClient,
    SdkClient,
    UnreachableError,
    send_calls,
)
from postbacks.demo.simulation.model import SdkCall, SentEvent

_TAKEN = {"accepted": 1, "duplicates": 0, "rejected": [], "ids": ["e1"], "warnings": []}
_HANG_UP = 0


@dataclass(frozen=True)
class Script:
    """A scripted answer: a status, or closing the connection without one."""

    status: int
    body: object = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the server received it."""

    path: str
    headers: dict[str, str]
    body: bytes
    client: tuple[str, int]


class Api:
    """Stands in for the event API: it answers by the script and records the requests."""

    def __init__(self, *answers: Script) -> None:
        self.received: list[ReceivedRequest] = []
        script = iter(answers)
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append(
                    ReceivedRequest(self.path, dict(self.headers), body, self.client_address)
                )
                answer = next(script)
                if answer.status == _HANG_UP:
                    self.close_connection = True
                    return
                payload = json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port


@contextmanager
def serving(*answers: Script) -> Iterator[Api]:
    api = Api(*answers)
    thread = threading.Thread(target=api.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield api
    finally:
        api.server.shutdown()
        thread.join()
        api.server.server_close()


def _client(port: int, *, retry_seconds: float = 10) -> SdkClient:
    return SdkClient(RetryingClient("127.0.0.1", port, retry_seconds=retry_seconds), "sdk-key")


def _call(*, events: int = 1, gzip: bool = False, app: DemoApp = DemoApp.IOS) -> SdkCall:
    sent = tuple(SentEvent({"event_id": f"e{number}"}) for number in range(1, events + 1))
    return SdkCall(app=app, body=b'{"event_id": "e1"}', gzip=gzip, events=sent)


def test_a_call_is_posted_with_its_key_and_the_answer_is_read() -> None:
    rejected = [{"index": 1, "errors": []}]
    body = {"accepted": 1, "duplicates": 1, "rejected": rejected, "ids": ["e1", None, "e3"]}

    with serving(Script(202, body)) as api, _client(api.port) as client:
        answer = client.send(_call(events=3))

    assert answer == EventsAnswer(202, accepted=1, duplicates=1, rejected=1, ids=("e1", None, "e3"))
    [request] = api.received
    assert request.path == "/api/v1/events"
    assert request.headers["Authorization"] == "Bearer sdk-key"
    assert request.headers["Content-Type"] == "application/json"
    assert "Content-Encoding" not in request.headers
    assert request.body == b'{"event_id": "e1"}'


def test_a_compressed_call_says_so() -> None:
    with serving(Script(202, _TAKEN)) as api, _client(api.port) as client:
        client.send(_call(gzip=True))

    assert api.received[0].headers["Content-Encoding"] == "gzip"


@pytest.mark.parametrize("status", [503, 429, _HANG_UP])
def test_a_call_that_failed_is_sent_again_with_the_same_bytes(status: int) -> None:
    failure = Script(status, headers={"Retry-After": "0"})

    with serving(failure, failure, Script(202, _TAKEN)) as api, _client(api.port) as client:
        answer = client.send(_call())

    assert answer.accepted == 1
    assert [request.body for request in api.received] == [b'{"event_id": "e1"}'] * 3


def test_the_connection_is_kept_from_call_to_call() -> None:
    with serving(*[Script(202, _TAKEN)] * 3) as api, _client(api.port) as client:
        for _ in range(3):
            client.send(_call())

    assert len({request.client for request in api.received}) == 1


def test_a_call_with_no_good_event_is_answered_with_all_rejected() -> None:
    with serving(Script(422, {"title": "No event"})) as api, _client(api.port) as client:
        answer = client.send(_call(events=2))

    assert answer == EventsAnswer(422, accepted=0, duplicates=0, rejected=2, ids=(None, None))


@pytest.mark.parametrize("status", [400, 401, 403, 413, 500])
def test_what_no_retry_can_change_is_raised_with_the_reason(status: int) -> None:
    refusal = Script(status, {"detail": "The key was revoked."})

    with (
        serving(refusal) as api,
        _client(api.port) as client,
        pytest.raises(RefusedError, match=rf"{status}.*The key was revoked"),
    ):
        client.send(_call())

    assert len(api.received) == 1


def test_a_server_that_is_not_there_is_given_up_after_the_patience() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        free_port = listener.getsockname()[1]

    with (
        _client(free_port, retry_seconds=0.5) as client,
        pytest.raises(UnreachableError, match="could not be reached"),
    ):
        client.send(_call())


def test_a_server_that_asks_for_more_time_than_there_is_is_given_up_at_once() -> None:
    busy = Script(503, {"detail": "Busy"}, headers={"Retry-After": "3600"})

    with (
        serving(busy) as api,
        _client(api.port, retry_seconds=1) as client,
        pytest.raises(UnreachableError, match=r"503.*Busy"),
    ):
        client.send(_call())

    assert len(api.received) == 1


def test_a_day_is_sent_in_order_by_each_apps_client_and_every_answer_is_reported() -> None:
    calls = [_call(app=app) for app in (DemoApp.IOS, DemoApp.ANDROID, DemoApp.IOS)]
    answers: list[tuple[DemoApp, int]] = []

    with (
        serving(*[Script(202, _TAKEN)] * 2) as ios,
        serving(Script(202, _TAKEN)) as android,
        _client(ios.port) as for_ios,
        _client(android.port) as for_android,
    ):
        send_calls(
            {DemoApp.IOS: for_ios, DemoApp.ANDROID: for_android},
            calls,
            on_answer=lambda call, answer: answers.append((call.app, answer.accepted)),
        )

    assert answers == [(DemoApp.IOS, 1), (DemoApp.ANDROID, 1), (DemoApp.IOS, 1)]
    assert (len(ios.received), len(android.received)) == (2, 1)
