"""Failures of SDKs and networks: lost responses, repeated and malformed events."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import cycle
from random import Random

from postbacks.demo.simulation.devices import new_id
from postbacks.demo.simulation.model import SentEvent

_Fields = Mapping[str, object]
_TOO_OLD_BY = timedelta(days=90)
_AHEAD_BY = timedelta(days=20)


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
    """Applies failures to one app's batches, in turn, so that chance leaves none out."""

    def __init__(self, rng: Random, now: datetime) -> None:
        self._rng = rng
        self._now = now
        self._event_errors = cycle(EVENT_ERRORS)
        self._batch_number = 0
        self._unanswered: list[SentEvent] = []

    def apply(self, batch: Sequence[SentEvent]) -> list[list[SentEvent]]:
        """Return the batches that are sent in place of one; they contain each good event.

        A repeated event always comes after its original, in the same batch or in a later one.
        """
        self._batch_number += 1
        sent = [*self._unanswered, *batch]
        self._unanswered = []
        match self._batch_number % 20:
            case 3 | 7 | 11 | 18:
                return [self._with_malformed_events(sent)]
            case 5:
                return [self._with_repeated_event(sent)]
            case 9:
                return [sent, sent]  # the response was lost, so all of it is sent again
            case 13:
                self._unanswered = sent[-3:]  # lost as well, but new events join the retry
            case 16:
                return [sent, [self._malformed(event) for event in sent[:4]]]
        return [sent]

    def _with_malformed_events(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        mixed = list(batch)
        for _ in range(self._rng.randint(1, 3)):
            malformed = self._malformed(self._rng.choice(batch))
            mixed.insert(self._rng.randint(0, len(mixed)), malformed)
        return mixed

    def _with_repeated_event(self, batch: Sequence[SentEvent]) -> list[SentEvent]:
        """Repeat one event right after itself, as a client without a lock on its queue does."""
        index = self._rng.randrange(len(batch))
        return [*batch[: index + 1], *batch[index:]]

    def _malformed(self, event: SentEvent) -> SentEvent:
        fields = {**event.fields, "event_id": new_id(self._rng)}
        return SentEvent(next(self._event_errors)(fields, self._now), well_formed=False)
