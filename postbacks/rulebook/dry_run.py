"""What a rule would have sent for past events, had it been on.

The functions that decide postbacks decide here too, and nothing is written. Two things are as if
the rule began now: devices that it has served for a first time count as served, and its current
version and credentials are rendered.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from apps_registry.crypto.keys import SIGNING_SECRET
from postbacks.attribution.installs import KnownInstall, KnownInstalls, foresee_installs
from postbacks.callbacks.currency.stored_rates import RatesOfDays, load_rates
from postbacks.callbacks.decisions import (
    FIRST_TIME,
    Decision,
    facts_if_decided,
    first_refusal_or_decision,
    first_time_devices,
    first_time_key,
    uses_first_time,
)
from postbacks.callbacks.rendering import render_postback
from postbacks.callbacks.rules.compiled import CompiledRule
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.models import Event, RuleDevice, SkipReason
from postbacks.models.stored import load_events
from postbacks.rulebook import saving
from postbacks.rulebook.trial_events import SAMPLE_ID
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import install_context

logger = logging.getLogger(__name__)

MOST_EVENTS = 10_000
EXAMPLES = 10
BATCH = 100  # as in the pipeline
_SIGNING_SECRETS = (SIGNING_SECRET,)  # an empty secret: an example's signature is masked

_EventKey = tuple[int, datetime]


@dataclass(frozen=True, slots=True)
class Example:
    """One request that would have been sent, credentials masked; or why there would be none."""

    event_id: str
    event_name: str
    received_at: datetime
    method: str = ""
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class DryRun:
    """The outcome for the events since a time.

    If not `is_complete`, the oldest events were left out; `not_matched` counts refusals by code.
    """

    since: datetime
    events: int
    is_complete: bool
    would_send: int
    skipped: Mapping[str, int]
    not_matched: Mapping[str, int]
    examples: Sequence[Example]


def dry_run(
    definition: RuleDefinition,
    since: datetime,
    *,
    rule_id: int | None = None,
    most: int = MOST_EVENTS,
) -> DryRun:
    """Return what a rule would have sent; `rule_id` is the saved rule whose devices are served."""
    now = datetime.now(UTC)
    newest = Event.objects.filter(received_at__gte=since).order_by("-received_at", "-id")
    rows = list(newest.values_list("id", "received_at", "app_id")[: most + 1])
    events = rows[most - 1 :: -1] if len(rows) > most else rows[::-1]  # the oldest first
    run = _Run(saving.compiled(definition), now, rule_id)
    for start in range(0, len(events), BATCH):
        run.decide(events[start : start + BATCH])
    return DryRun(
        since=since,
        events=len(events),
        is_complete=len(rows) <= most,
        would_send=len(run.would_send),
        skipped=run.skipped,
        not_matched=run.not_matched,
        examples=tuple(run.examples()),
    )


@dataclass(slots=True)
class _Run:
    """Decides one rule batch after batch, the oldest events first, as they came."""

    rule: CompiledRule
    now: datetime
    rule_id: int | None
    would_send: list[_EventKey] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    not_matched: Counter[str] = field(default_factory=Counter)
    _installs: KnownInstalls = field(default_factory=KnownInstalls)
    _served: set[str] = field(default_factory=set)

    def decide(self, batch: Sequence[tuple[int, datetime, int]]) -> None:
        """Decide a batch of events and count the outcomes, without loading other apps' events."""
        only_app = self.rule.definition.app_id
        keys = [(id_, at) for id_, at, app_id in batch if only_app in {None, app_id}]
        if len(keys) < len(batch):
            self.not_matched["app"] += len(batch) - len(keys)
        events = load_events(keys)
        installs = foresee_installs(events, self._installs)
        rates = load_rates(event.event_time for event in events if event.has_money)
        decided = [self._decide(event, installs.get(event.id), rates) for event in events]
        served = self._served_before(decided)
        for outcome in decided:
            self._count(outcome, served)

    def examples(self) -> Iterator[Example]:
        """Yield the newest requests."""
        events = load_events(self.would_send[-EXAMPLES:])
        rates = load_rates(event.event_time for event in events if event.has_money)
        installs = foresee_installs(events, self._installs)
        for event in reversed(events):
            yield self._example(event, installs.get(event.id), rates)

    def _decide(
        self, event: StoredEvent, install: KnownInstall | None, rates: RatesOfDays
    ) -> Decision | Refusal:
        rates_then = rates.of(event.event_time, known_at=self.now)
        context = install_context(event, install)
        try:
            return first_refusal_or_decision(
                self.rule, event, context, now=self.now, rates=rates_then
            )
        except Exception:
            logger.exception("A dry run could not decide event %s", event.event_id)
            return Decision("", event, self.rule, context, reason=SkipReason.RULE_ERROR)

    def _served_before(self, decided: Sequence[Decision | Refusal]) -> set[str]:
        if self.rule_id is None:
            return set()
        devices = {
            device: first_time_key(outcome)[1]
            for outcome in decided
            if isinstance(outcome, Decision) and uses_first_time(outcome)
            for device in first_time_devices(outcome.event)
        }
        if not devices:
            return set()
        served = RuleDevice.objects.filter(rule_id=self.rule_id, device__in=devices)
        return {devices[device] for device in served.values_list("device", flat=True)}

    def _count(self, outcome: Decision | Refusal, served: set[str]) -> None:
        if isinstance(outcome, Refusal):
            self.not_matched[outcome.code] += 1
        elif outcome.reason:
            self.skipped[outcome.reason] += 1
        elif uses_first_time(outcome) and self._is_served(first_time_key(outcome)[1], served):
            self.not_matched[FIRST_TIME] += 1
        else:
            self.would_send.append((outcome.event.id, outcome.event.received_at))

    def _is_served(self, device: str, before: set[str]) -> bool:
        """Tell whether a device has had its first time, and note that it has it now."""
        is_served = device in before or device in self._served
        self._served.add(device)
        return is_served

    def _example(
        self, event: StoredEvent, install: KnownInstall | None, rates: RatesOfDays
    ) -> Example:
        context = install_context(event, install)
        facts = facts_if_decided(self.rule, event, context, postback=SAMPLE_ID, now=self.now)
        rates_then = rates.of(event.event_time, known_at=self.now)
        rendered = render_postback(self.rule, facts, rates_then, _SIGNING_SECRETS)
        identity = (str(event.event_id), event.event_name, event.received_at)
        if rendered.rendering is None:
            return Example(*identity, error=rendered.refusal)
        request = rendered.rendering.redacted
        body = None if request.body is None else request.body.decode("utf-8", "replace")
        return Example(*identity, request.method, request.url, request.headers, body)
