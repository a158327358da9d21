"""Sends a simulated day in its order: ads, then the game, then what networks report too late."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from tqdm import tqdm

from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.sending.ad_networks import AdNetworkClient
from postbacks.demo.sending.http_client import RetryingClient
from postbacks.demo.sending.sdk_client import EventsAnswer, SdkClient, send_calls
from postbacks.demo.simulation.day import SimulatedDay
from postbacks.demo.simulation.model import LiveVisit, SdkCall, SimulatedTouch
from postbacks.demo.simulation.skan_copies import send_copies

_DOWNLOAD_SECONDS = 3.0  # an install within two seconds of its click counts as fraud


@dataclass(frozen=True, slots=True)
class _AtStore:
    """A visitor who is at the store, with the referrer that it will hand to the game."""

    visit: LiveVisit
    referrer: str
    tapped_at: float = field(default_factory=time.monotonic)


class DaySender:
    """This sends days to one organization."""

    def __init__(self, host: str, port: int, demo: DemoOrganization) -> None:
        self._new_client = partial(RetryingClient, host, port)
        self._keys = demo.sdk_keys
        self._ads = AdNetworkClient(self._new_client, demo.links, demo.sdk_keys)

    def send(self, day: SimulatedDay, *, wait: Callable[[], object]) -> list[EventsAnswer]:
        """Send a day, and Apple's copies, and return what the event API answered.

        Touches are sent before the installs that they lead to. Those that come too late, and people
        who come back, wait until `wait` has seen everything before them decided.
        """
        self._report("Clicks, views", day.touches)
        clients = {app: SdkClient(self._new_client(), key) for app, key in self._keys.items()}
        tapped = self._tap(day.visits)
        answers = [*self._play(clients, day), *_open_app(clients, tapped)]
        if day.late or day.comebacks:
            wait()
        self._report("Late reports ", day.late)
        answers += _open_app(clients, self._tap(day.comebacks))
        for client in clients.values():
            client.close()
        with self._new_client() as device:
            send_copies(device)
        return answers

    def _tap(self, visits: Sequence[LiveVisit]) -> list[_AtStore]:
        """Have visitors follow their links; return with what they come back from the store."""
        with self._new_client() as browser:
            return [_AtStore(visit, self._ads.tap(browser, visit)) for visit in visits]

    def _report(self, title: str, touches: tuple[SimulatedTouch, ...]) -> None:
        with tqdm(total=len(touches), unit=" touches", desc=title, disable=None) as bar:
            self._ads.report(touches, progress=bar.update)

    @staticmethod
    def _play(clients: Mapping[DemoApp, SdkClient], day: SimulatedDay) -> list[EventsAnswer]:
        answers: list[EventsAnswer] = []
        total = sum(len(call.events) for call in day.calls)
        with tqdm(total=total, unit=" events", desc="SDK traffic  ", disable=None) as bar:

            def note(call: SdkCall, answer: EventsAnswer) -> None:
                answers.append(answer)
                bar.update(len(call.events))

            send_calls(clients, day.calls, progress=note)
        return answers


def _open_app(
    clients: Mapping[DemoApp, SdkClient], tapped: Sequence[_AtStore]
) -> list[EventsAnswer]:
    """Have visitors open the game, each as soon as it can be downloaded."""
    answers = []
    for it in tapped:
        time.sleep(max(0.0, it.tapped_at + _DOWNLOAD_SECONDS - time.monotonic()))
        call = it.visit.call(datetime.now(UTC), it.referrer)
        answers.append(clients[it.visit.app].send(call))
    return answers
