"""Events from SDKs that try again with the same ids until they are answered 202."""

import random
import threading
import time
import uuid
from dataclasses import dataclass, field

from tests.chaos.installation import Installation
from tests.chaos.organization import RULES

_BATCHES = (1, 5, 20, 50)
_AGAIN_SECONDS = 0.2


@dataclass(slots=True)
class Traffic:
    """Threads that post events as fast as these are released."""

    installation: Installation
    dice: random.Random
    threads: int = 4
    posted_at: dict[str, float] = field(default_factory=dict)  # for the first time
    accepted_at: dict[str, float] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    unanswered: int = 0  # requests that came to nothing
    failure: Exception | None = None
    _released: int = 0
    _begun: int = 0
    _is_over: bool = False
    _change: threading.Condition = field(default_factory=threading.Condition)
    _running: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        for _ in range(self.threads):
            dice = random.Random(self.dice.random())  # noqa: S311
            thread = threading.Thread(target=self._send, args=[dice])
            thread.start()
            self._running.append(thread)

    def release(self, count: int) -> None:
        with self._change:
            self._released += count
            self._change.notify_all()

    def finish(self) -> None:
        """Wait until all that was released is accepted."""
        with self._change:
            self._is_over = True
            self._change.notify_all()
        for thread in self._running:
            thread.join()
        if self.failure:
            raise self.failure

    def expected(self) -> set[tuple[str, str]]:
        """Return what the accepted events lead to: each event with the path of a rule."""
        return {
            (event, path)
            for event in self.accepted_at
            for path, names in RULES.items()
            if self.names[event] in names
        }

    def _send(self, dice: random.Random) -> None:
        try:
            while count := self._take(dice.choice(_BATCHES)):
                self._post([self._event(dice) for _ in range(count)])
        except Exception as error:  # noqa: BLE001  # `finish` raises it
            self.failure = error

    def _take(self, most: int) -> int:
        with self._change:
            while self._begun >= self._released and not self._is_over:
                self._change.wait()
            count = min(most, self._released - self._begun)
            self._begun += count
            return count

    def _event(self, dice: random.Random) -> dict[str, object]:
        event_id = str(uuid.UUID(int=dice.getrandbits(128), version=4))
        self.names[event_id] = dice.choice(("purchase", "level"))
        return {
            "event_id": event_id,
            "event_name": self.names[event_id],
            "install_id": f"device-{dice.randrange(5_000)}",
            "idfa": str(uuid.UUID(int=dice.getrandbits(128), version=4)).upper(),
            "revenue": "4.99",
            "currency": "EUR",
            "params": {"level": 12, "product": "gems-500"},
        }

    def _post(self, events: list[dict[str, object]]) -> None:
        ids = [str(event["event_id"]) for event in events]
        now = time.monotonic()
        self.posted_at.update(dict.fromkeys(ids, now))
        while (status := self.installation.post(events)) != 202:
            if 400 <= status < 500 and status != 429:
                raise AssertionError(f"Good events were answered {status}.")
            self.unanswered += 1
            time.sleep(_AGAIN_SECONDS)
        self.accepted_at.update(dict.fromkeys(ids, time.monotonic()))
