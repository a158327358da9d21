"""What goes wrong on the way: answers that never arrive, and SDKs that were built in wrongly."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from random import Random

from postbacks.demo.simulation.devices import new_id
from postbacks.demo.simulation.model import SentEvent

_Fields = Mapping[str, object]
_TOO_OLD_BY = timedelta(days=90)
_AHEAD_BY = timedelta(days=1)


def _without_name(fields: _Fields, now: datetime) -> _Fields:
    return {name: value for name, value in fields.items() if name != "event_name"}


def _with_revenue_in_words(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_name": "purchase", "revenue": "four ninety-nine", "currency": "USD"}


def _too_old(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_time": (now - _TOO_OLD_BY).isoformat(timespec="seconds")}


def _too_far_ahead(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_time": int((now + _AHEAD_BY).timestamp())}


def _with_foreign_bundle_id(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "bundle_id": "com.example.somebody-else"}


def _with_unknown_currency(fields: _Fields, now: datetime) -> _Fields:
    return {**fields, "event_name": "purchase", "revenue": "120", "currency": "GEM"}


EVENT_ERRORS: tuple[Callable[[_Fields, datetime], _Fields], ...] = (
    _without_name,
    _with_revenue_in_words,
    _too_old,
    _too_far_ahead,
    _with_foreign_bundle_id,
    _with_unknown_currency,
)


class SdkFailures:
    """This spoils a part of one app's day; mishaps take turns, so that chance leaves none out."""

    def __init__(self, rng: Random, now: datetime) -> None:
        self._rng = rng
        self._now = now
        self._faults = cycle(EVENT_ERRORS)
        self._turn = 0
        self._unanswered: list[SentEvent] = []

    def strike(self, batch: Sequence[SentEvent]) -> list[list[SentEvent]]:
        """Return the batches that are really sent for one: each good event is in there.

        A repetition always comes after its original, in the same batch or in a later one.
        """
        self._turn += 1
        sent = [*self._unanswered, *batch]
        self._unanswered = []
        match self._turn % 20:
            case 3 | 7 | 11 | 18:
                return [self._with_bad_neighbors(sent)]
            case 5:
                return [self._stuttering(sent)]
            case 9:
                return [sent, sent]  # the answer was lost on the way: all of it once more
            case 13:
                self._unanswered = sent[-3:]  # lost as well, but new events join the retry
            case 16:
                return [sent, [self._malformed(event) for event in sent[:4]]]
        return [sent]

    def _with_bad_neighbors(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        spoiled = list(batch)
        for _ in range(self._rng.randint(1, 3)):
            bad = self._malformed(self._rng.choice(batch))
            spoiled.insert(self._rng.randint(0, len(spoiled)), bad)
        return spoiled

    def _stuttering(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        """Repeat one event right after itself, as a client without a lock on its queue does."""
        place = self._rng.randrange(len(batch))
        return [*batch[: place + 1], *batch[place:]]

    def _malformed(self, event: SentEvent) -> SentEvent:
        fields = {**event.fields, "event_id": new_id(self._rng)}
        return SentEvent(next(self._faults)(fields, self._now), well_formed=False)
