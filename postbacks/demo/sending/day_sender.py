"""Sends a simulated day in order: ad touches, SDK calls, late reports, returning users."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from tqdm import tqdm

from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.sending.ad_networks import AdNetworkClient
from postbacks.demo.sending.http_client import RefusedError, RetryingClient
from postbacks.demo.sending.sdk_client import EventsAnswer, SdkClient, send_calls
from postbacks.demo.simulation.day import SimulatedDay
from postbacks.demo.simulation.model import LiveVisit, SdkCall, SimulatedTouch
from postbacks.demo.simulation.skan_copies import COPIES

_COPY_PATH = "/.well-known/skadnetwork/report-attribution/"
_DOWNLOAD_SECONDS = 3.0  # an install within two seconds of its click counts as fraud


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
