"""Sends a simulated day in its order: ads, then the game, then what networks report too late."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from tqdm import tqdm

from postbacks.demo.ads import AdTraffic
from postbacks.demo.calls import SdkCall
from postbacks.demo.client import PatientClient
from postbacks.demo.copies import send_copies
from postbacks.demo.networks import DemoApp
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.sdk import Answer, SdkClient, send_day
from postbacks.demo.touches import SimulatedTouch
from postbacks.demo.traffic import SimulatedDay
from postbacks.demo.visits import SimulatedVisit

_DOWNLOAD_SECONDS = 3.0  # an install within two seconds of its click counts as fraud


@dataclass(frozen=True, slots=True)
class _Tapped:
    """A visitor who is at the store, with the referrer that it will hand to the game."""

    visit: SimulatedVisit
    referrer: str
    tapped_at: float = field(default_factory=time.monotonic)


class DayTraffic:
    """This sends days to one organization."""

    def __init__(self, host: str, port: int, demo: DemoOrganization) -> None:
        self._new_client = partial(PatientClient, host, port)
        self._keys = demo.sdk_keys
        self._ads = AdTraffic(self._new_client, demo.links, demo.sdk_keys)

    def send(self, day: SimulatedDay, *, wait: Callable[[], object]) -> list[Answer]:
        """Send a day, and Apple's copies, and return what the event API answered.

        Touches are sent before the installs that they lead to. Those that come too late, and people
        who come back, wait until `wait` has seen everything before them decided.
        """
        self._report("Clicks, views", day.touches)
        clients = {app: SdkClient(self._new_client(), key) for app, key in self._keys.items()}
        tapped = self._tap(day.visits)
        answers = [*self._play(clients, day), *_open(clients, tapped)]
        if day.late or day.comebacks:
            wait()
        self._report("Late reports ", day.late)
        answers += _open(clients, self._tap(day.comebacks))
        for client in clients.values():
            client.close()
        with self._new_client() as device:
            send_copies(device)
        return answers

    def _tap(self, visits: Sequence[SimulatedVisit]) -> list[_Tapped]:
        """Have visitors follow their links; return with what they come back from the store."""
        with self._new_client() as browser:
            return [_Tapped(visit, self._ads.tap(browser, visit)) for visit in visits]

    def _report(self, title: str, touches: tuple[SimulatedTouch, ...]) -> None:
        with tqdm(total=len(touches), unit=" touches", desc=title, disable=None) as bar:
            self._ads.report(touches, progress=bar.update)

    @staticmethod
    def _play(clients: Mapping[DemoApp, SdkClient], day: SimulatedDay) -> list[Answer]:
        answers: list[Answer] = []
        total = sum(len(call.events) for call in day.calls)
        with tqdm(total=total, unit=" events", desc="SDK traffic  ", disable=None) as bar:

            def note(call: SdkCall, answer: Answer) -> None:
                answers.append(answer)
                bar.update(len(call.events))

            send_day(clients, day.calls, progress=note)
        return answers


def _open(clients: Mapping[DemoApp, SdkClient], tapped: Sequence[_Tapped]) -> list[Answer]:
    """Have visitors open the game, each as soon as it can be downloaded."""
    answers = []
    for it in tapped:
        time.sleep(max(0.0, it.tapped_at + _DOWNLOAD_SECONDS - time.monotonic()))
        call = it.visit.call(datetime.now(UTC), it.referrer)
        answers.append(clients[it.visit.app].send(call))
    return answers
