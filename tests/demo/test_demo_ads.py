"""The requests of networks and browsers, received by a real server that answers as we would."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from postbacks.demo.networks import KITEBIRD, NETWORKS, DemoApp
from postbacks.demo.sending.day_sender import AdNetworkClient
from postbacks.demo.sending.sdk_client import RefusedError, RetryingClient
from postbacks.demo.simulation.model import (
    GroundTruth,
    LiveVisit,
    SentEvent,
    SimulatedTouch,
    TouchKind,
    truth_of,
)

_LINKS = {(network.name, app): f"{network.short}-{app}" for network in NETWORKS for app in DemoApp}
_KEYS = {app: f"key-{app}" for app in DemoApp}
_REFERRER = "postbacks_click=0198&utm_source=Kitebird"
_ID = "38400000-8cf0-11bd-b23e-10b96e40000d"


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as the server received it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def touchpoints(self) -> list[dict[str, Any]]:
        touchpoints: list[dict[str, Any]] = json.loads(self.body)["touchpoints"]
        return touchpoints


class Site(ThreadingHTTPServer):
    """Stands in for tracking links and the touchpoints API, and records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[ReceivedRequest] = []
        self.status = 202

    def client(self) -> RetryingClient:
        return RetryingClient("127.0.0.1", self.server_port, retry_seconds=5)

    def traffic(self) -> AdNetworkClient:
        return AdNetworkClient(self.client, _LINKS, _KEYS)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Site

    def do_GET(self) -> None:
        self._keep(b"")
        if "s2s" in self.server.received[-1].query:
            self._answer(200)
        else:
            self._answer(302, f"https://play.example/?id=a&referrer={quote(_REFERRER)}")

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        self._keep(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(self.server.status)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def _keep(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        query = dict(parse_qsl(parts.query))
        headers = dict(self.headers)
        self.server.received.append(ReceivedRequest(self.command, parts.path, query, headers, body))

    def _answer(self, status: int, location: str = "") -> None:
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", "0")
        self.end_headers()


@pytest.fixture
def site() -> Iterator[Site]:
    started = Site()
    thread = threading.Thread(target=started.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield started
    started.shutdown()
    thread.join()
    started.server_close()


def _touch(
    number: int,
    *,
    kind: TouchKind = TouchKind.CLICK,
    app: DemoApp = DemoApp.ANDROID,
    by_link: bool = False,
) -> SimulatedTouch:
    return SimulatedTouch(
        network=KITEBIRD,
        app=app,
        kind=kind,
        at=datetime(2026, 7, 14, 18, 30, tzinfo=UTC),
        click_id=f"+/{number}==",
        site_id="tile-town",
        ids={"gaid": _ID},
        ip_address="192.0.2.7",
        user_agent="Mozilla/5.0",
        by_link=by_link,
    )


def _visit(*, preview_id: str = "") -> LiveVisit:
    click = _touch(1)
    events = (SentEvent({"event_id": "e", "install_id": "d"}),)
    return LiveVisit(click.app, truth_of(click), events, click, preview_id)


def test_a_network_reports_many_touches_of_an_app_at_once(site: Site) -> None:
    touches = [_touch(number) for number in range(30)]
    touches.append(_touch(99, app=DemoApp.IOS, kind=TouchKind.IMPRESSION))
    reported: list[int] = []

    site.traffic().report(touches, progress=reported.append)

    assert sorted(reported) == [1, 5, 25]
    assert {request.headers["Authorization"] for request in site.received} == {
        "Bearer key-android",
        "Bearer key-ios",
    }
    [of_ios] = [
        request for request in site.received if request.headers["Authorization"] == "Bearer key-ios"
    ]
    assert of_ios.touchpoints == [
        {
            "link": "kitebird-ios",
            "kind": "impression",
            "occurred_at": "2026-07-14T18:30:00.000+00:00",
            "click_id": "+/99==",
            "site_id": "tile-town",
            "ip_address": "192.0.2.7",
            "user_agent": "Mozilla/5.0",
            "gaid": _ID,
        }
    ]


@pytest.mark.parametrize(("kind", "path"), [(TouchKind.CLICK, "c"), (TouchKind.IMPRESSION, "i")])
def test_other_networks_call_the_tracking_link_from_their_server(
    site: Site, kind: TouchKind, path: str
) -> None:
    site.traffic().report([_touch(1, kind=kind, by_link=True)], progress=lambda _: None)

    [request] = site.received
    assert (request.method, request.path) == ("GET", f"/{path}/kitebird-android")
    assert request.query == {
        "s2s": "1",
        "click_id": "+/1==",
        "site_id": "tile-town",
        "click_time": "1784053800",
        "ip": "192.0.2.7",
        "ua": "Mozilla/5.0",
        "gaid": _ID,
    }


def test_a_report_that_is_not_taken_is_an_error(site: Site) -> None:
    site.status = 403

    with pytest.raises(RefusedError, match="403"):
        site.traffic().report([_touch(1)], progress=lambda _: None)


def test_a_tap_follows_the_redirect_and_returns_what_play_hands_on(site: Site) -> None:
    with site.client() as browser:
        referrer = site.traffic().open_link(browser, _visit())

    [request] = site.received
    assert referrer == _REFERRER
    assert request.query == {"click_id": "+/1==", "gaid": _ID}
    assert request.headers["User-Agent"] == "Mozilla/5.0"


def test_a_messenger_looks_at_the_link_before_the_tap(site: Site) -> None:
    with site.client() as browser:
        site.traffic().open_link(browser, _visit(preview_id="other"))

    assert [(request.method, request.query["click_id"]) for request in site.received] == [
        ("GET", "other"),
        ("HEAD", "other"),
        ("GET", "+/1=="),
    ]
    assert site.received[0].headers["User-Agent"].startswith("WhatsApp/")


def test_who_comes_by_themselves_taps_nothing(site: Site) -> None:
    alone = LiveVisit(DemoApp.ANDROID, GroundTruth(), (SentEvent({"install_id": "d"}),))

    with site.client() as browser:
        referrer = site.traffic().open_link(browser, alone)

    assert site.received == []
    assert referrer == "utm_source=google-play&utm_medium=organic"
