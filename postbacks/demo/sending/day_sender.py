"""Sends a simulated day in order: ad touches, SDK calls, late reports, returning users."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from tqdm import tqdm

from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.sending.sdk_client import (
    EventsAnswer,
    RefusedError,
    RetryingClient,
    SdkClient,
    send_calls,
)
from postbacks.demo.simulation.day import SimulatedDay
from postbacks.demo.simulation.model import LiveVisit, SdkCall, SimulatedTouch, TouchKind
from postbacks.demo.simulation.skan_copies import COPIES
from postbacks.demo.simulation.touches import ORGANIC_REFERRER

TOUCHPOINTS_PATH = "/api/v1/touchpoints"
_PARALLEL_CLIENTS = 4
_MAX_TOUCHES_IN_REPORT = 25
_MESSENGER_AGENT = "WhatsApp/2.24.20 A"
_NETWORK_AGENT = "AdServer/5"
_COPY_PATH = "/.well-known/skadnetwork/report-attribution/"
_DOWNLOAD_SECONDS = 3.0  # an install within two seconds of its click counts as fraud

Links = Mapping[tuple[str, DemoApp], str]  # tokens, by the network's name
TouchReport = tuple[SimulatedTouch, ...]


def reports(touches: Sequence[SimulatedTouch]) -> Iterator[TouchReport]:
    """Yield the touches of each request: one of a link, or several touches of one app."""
    queues: dict[DemoApp, list[SimulatedTouch]] = {app: [] for app in DemoApp}
    for touch in touches:
        if touch.by_link:
            yield (touch,)
            continue
        queue = queues[touch.app]
        queue.append(touch)
        if len(queue) == _MAX_TOUCHES_IN_REPORT:
            yield tuple(queue)
            queue.clear()
    yield from (tuple(queue) for queue in queues.values() if queue)


class AdNetworkClient:
    """Reports touches of the demo's tracking links, with the apps' SDK keys."""

    def __init__(
        self, new_client: Callable[[], RetryingClient], links: Links, keys: Mapping[DemoApp, str]
    ) -> None:
        self._new_client = new_client
        self._links = links
        self._keys = keys

    def report(
        self, touches: Sequence[SimulatedTouch], *, progress: Callable[[int], object]
    ) -> None:
        """Send touches, several reports in parallel. Raises RefusedError if one is refused."""
        pending = list(reports(touches))
        shares = [pending[start::_PARALLEL_CLIENTS] for start in range(_PARALLEL_CLIENTS)]

        def send(share: Sequence[TouchReport]) -> None:
            with self._new_client() as client:
                for report in share:
                    self._send(client, report)
                    progress(len(report))

        with ThreadPoolExecutor(_PARALLEL_CLIENTS) as pool:
            list(pool.map(send, shares))

    def open_link(self, client: RetryingClient, visit: LiveVisit) -> str:
        """Open a visit's link as a browser does; return the referrer that Play would pass on.

        A visit without a click opens nothing. Raises RefusedError if the link does not redirect.
        """
        click = visit.click
        if click is None:
            return ORGANIC_REFERRER
        link = f"/c/{self._links[click.network.name, visit.app]}"
        parameters = {"click_id": click.click_id, **click.ids}
        if visit.preview_id:
            preview = urlencode({**parameters, "click_id": visit.preview_id})
            client.request("GET", f"{link}?{preview}", headers={"User-Agent": _MESSENGER_AGENT})
            client.request("HEAD", f"{link}?{preview}", headers={"User-Agent": click.user_agent})
        response = client.request(
            "GET", f"{link}?{urlencode(parameters)}", headers={"User-Agent": click.user_agent}
        )
        if response.status != HTTPStatus.FOUND:
            raise RefusedError(response.error_text)
        store_query = parse_qs(urlsplit(response.headers["Location"]).query)
        return store_query.get("referrer", [""])[0]

    def _send(self, client: RetryingClient, report: TouchReport) -> None:
        headers = {"User-Agent": _NETWORK_AGENT}
        if report[0].by_link:
            response = client.request("GET", self._link_path(report[0]), headers=headers)
        else:
            headers["Authorization"] = f"Bearer {self._keys[report[0].app]}"
            headers["Content-Type"] = "application/json"
            body = {"touchpoints": [self._fields(touch) for touch in report]}
            response = client.request(
                "POST", TOUCHPOINTS_PATH, headers=headers, body=json.dumps(body).encode()
            )
        if not HTTPStatus.OK <= response.status < HTTPStatus.MULTIPLE_CHOICES:
            raise RefusedError(response.error_text)

    def _link_path(self, touch: SimulatedTouch) -> str:
        prefix = "c" if touch.kind is TouchKind.CLICK else "i"
        parameters = {
            "s2s": "1",
            "click_id": touch.click_id,
            "site_id": touch.site_id,
            "click_time": int(touch.at.timestamp()),
            "ip": touch.ip_address,
            "ua": touch.user_agent,
            **touch.ids,
        }
        token = self._links[touch.network.name, touch.app]
        return f"/{prefix}/{token}?{urlencode(parameters)}"

    def _fields(self, touch: SimulatedTouch) -> dict[str, object]:
        return {
            "link": self._links[touch.network.name, touch.app],
            "kind": touch.kind.value,
            "occurred_at": touch.at.isoformat(timespec="milliseconds"),
            "click_id": touch.click_id,
            "site_id": touch.site_id,
            "ip_address": touch.ip_address,
            "user_agent": touch.user_agent,
            **touch.ids,
        }


@dataclass(frozen=True, slots=True)
class _AtStore:
    """A visit whose click has led to the store, with the referrer that the store passes on."""

    visit: LiveVisit
    referrer: str
    clicked_at: float = field(default_factory=time.monotonic)


class DaySender:
    """Sends days to one organization."""

    def __init__(self, host: str, port: int, demo: DemoOrganization) -> None:
        self._new_client = partial(RetryingClient, host, port)
        self._keys = demo.sdk_keys
        self._ads = AdNetworkClient(self._new_client, demo.links, demo.sdk_keys)

    def send(self, day: SimulatedDay, *, wait: Callable[[], object]) -> list[EventsAnswer]:
        """Send a day and Apple's copies, and return the answers of the event API.

        Touches are reported before the installs that they lead to. Late reports and returning users
        follow once `wait` returns, when everything before them is decided.
        """
        self._report_touches("Clicks, views", day.touches)
        clients = {app: SdkClient(self._new_client(), key) for app, key in self._keys.items()}
        at_store = self._open_links(day.visits)
        answers = [*self._send_calls(clients, day), *_open_app(clients, at_store)]
        if day.late or day.comebacks:
            wait()
        self._report_touches("Late reports ", day.late)
        answers += _open_app(clients, self._open_links(day.comebacks))
        for client in clients.values():
            client.close()
        with self._new_client() as device:
            _send_copies(device)
        return answers

    def _open_links(self, visits: Sequence[LiveVisit]) -> list[_AtStore]:
        with self._new_client() as browser:
            return [_AtStore(visit, self._ads.open_link(browser, visit)) for visit in visits]

    def _report_touches(self, title: str, touches: tuple[SimulatedTouch, ...]) -> None:
        with tqdm(total=len(touches), unit=" touches", desc=title, disable=None) as bar:
            self._ads.report(touches, progress=bar.update)

    @staticmethod
    def _send_calls(clients: Mapping[DemoApp, SdkClient], day: SimulatedDay) -> list[EventsAnswer]:
        answers: list[EventsAnswer] = []
        total = sum(len(call.events) for call in day.calls)
        with tqdm(total=total, unit=" events", desc="SDK traffic  ", disable=None) as bar:

            def on_answer(call: SdkCall, answer: EventsAnswer) -> None:
                answers.append(answer)
                bar.update(len(call.events))

            send_calls(clients, day.calls, on_answer=on_answer)
        return answers


def _open_app(
    clients: Mapping[DemoApp, SdkClient], visits_at_store: Sequence[_AtStore]
) -> list[EventsAnswer]:
    """Open the app of each visit as soon as it can be downloaded."""
    answers = []
    for at_store in visits_at_store:
        time.sleep(max(0.0, at_store.clicked_at + _DOWNLOAD_SECONDS - time.monotonic()))
        call = at_store.visit.call(datetime.now(UTC), at_store.referrer)
        answers.append(clients[at_store.visit.app].send(call))
    return answers


def _send_copies(client: RetryingClient) -> None:
    """Send the copies as devices do: without any key. Raises RefusedError if one is refused."""
    headers = {"Content-Type": "application/json", "User-Agent": "SKAdNetwork/1"}
    for copy in COPIES:
        body = json.dumps(copy.body).encode()
        response = client.request("POST", _COPY_PATH, headers=headers, body=body)
        if response.status != HTTPStatus.OK:
            raise RefusedError(response.error_text)
