"""What a rule would have sent for past events, had it been on.

The functions that decide postbacks decide here too, and nothing is written. Two things are as if
the rule began now: devices that it has served for a first time count as served, and its current
version and credentials are rendered.
"""

import logging
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from threading import BoundedSemaphore

import msgspec
from django.conf import settings
from django.db import connection

from apps_registry.crypto.keys import SIGNING_SECRET
from apps_registry.tenancy import tenant
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
from postbacks.infrastructure.database.jobs import held_job, take_turns
from postbacks.infrastructure.database.outages import is_outage
from postbacks.models import DryRunJob, DryRunStatus, Event, RuleDevice, SkipReason
from postbacks.models.stored import load_events
from postbacks.rulebook import saving
from postbacks.rulebook.trial_events import SAMPLE_ID
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import install_context

logger = logging.getLogger(__name__)

MOST_EVENTS = 10_000
EXAMPLES = 10
BATCH = 100  # as in the pipeline
MOST_RUNNING = 2  # jobs of an organization
TIME_BOX_SECONDS = 45.0
MOST_KEPT = 20  # of an organization
_SECONDS_AT_ONCE = 1.0  # of a web thread, then a worker goes on
_STEP_SECONDS = 2.0  # of a worker, between its signs of life
_EXAMPLES_SECONDS = 3.0  # in which fewer are shown than could be
_IS_ANY_DUE = """
SELECT EXISTS (SELECT FROM dry_run_job WHERE finished_at IS NULL)
    OR EXISTS (SELECT FROM dry_run_job WHERE created_at < now() - interval '1 hour')
"""
_WAITING = """
SELECT organization_id, id FROM dry_run_job WHERE finished_at IS NULL ORDER BY id LIMIT 100
"""
_DELETE_OLD = "DELETE FROM dry_run_job WHERE created_at < now() - interval '1 hour'"
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


class TooManyDryRunsError(Exception):
    """As many dry runs of the organization are under way as may be."""

    what = f"{MOST_RUNNING} dry runs of this organization are under way, as many as may be"
    wait = 10

    def __init__(self) -> None:
        super().__init__(f"{self.what}; try again in {self.wait} seconds.")


def try_or_start(
    definition: RuleDefinition, since: datetime, *, rule_id: int | None = None
) -> DryRun | DryRunJob:
    """Return the outcome for a batch of events, or start a job in the background for more.

    `rule_id` is the saved rule whose devices are served. A rule that takes a second for its batch
    goes on in the background, too. Raises TooManyDryRunsError.
    """
    finished = _try_at_once(definition, since, rule_id=rule_id)
    if finished is not None:
        return finished
    take_turns("dry_run_job")
    if DryRunJob.objects.filter(finished_at=None).count() >= MOST_RUNNING:
        raise TooManyDryRunsError
    _delete_oldest()
    return DryRunJob.objects.create(
        rule_id=rule_id,
        definition=msgspec.to_builtins(definition),
        since=since,
        created_at=datetime.now(UTC),
    )


def _try_at_once(
    definition: RuleDefinition, since: datetime, *, rule_id: int | None
) -> DryRun | None:
    """Return the outcome; None for many events, for a slow rule, or if many are tried already."""
    events, is_complete = _events_since(since, BATCH)
    places = _places()
    if not is_complete or not places.acquire(blocking=False):
        return None
    try:
        until = time.monotonic() + _SECONDS_AT_ONCE
        run = _Run(saving.compiled(definition), datetime.now(UTC), rule_id)
        run.load(events)
        run.decide(until)
        return None if run.waiting else run.outcome(since)
    finally:
        places.release()


@cache
def _places() -> BoundedSemaphore:
    """Return how many of a web process's threads may try rules at once."""
    return BoundedSemaphore(max(1, settings.WEB_THREADS // 4))


def _delete_oldest() -> None:
    """Leave room for one more: by cancelling, anybody could start any number in an hour."""
    newest = DryRunJob.objects.order_by("-id").values_list("id", flat=True)[: MOST_KEPT - 1]
    oldest_kept = min(newest, default=0)
    DryRunJob.objects.filter(id__lt=oldest_kept).exclude(finished_at=None).delete()


def cancel(job: DryRunJob) -> bool:
    """Stop a job after the batch that it is at; tell whether it was running."""
    now = datetime.now(UTC)
    running = DryRunJob.objects.filter(pk=job.pk, finished_at=None)
    return bool(running.update(finished_at=now, cancelled_at=now))


def is_any_due() -> bool:
    """Tell whether a job is to be done or an old one to be deleted."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY_DUE)
        return bool(cursor.fetchone()[0])


def work(
    seconds: float = TIME_BOX_SECONDS, *, show_life: Callable[[], None] = lambda: None
) -> None:
    """Do the oldest job, within its time box, and delete old ones.

    `show_life` is called every few seconds.
    """
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_OLD)
    with held_job("dry_run_job", _WAITING) as job:
        if job is not None and DryRunJob.begin_turn(*job):
            _do_or_end(*job, seconds=seconds, show_life=show_life)


def _do_or_end(
    organization_id: int, id_: int, *, seconds: float, show_life: Callable[[], None]
) -> None:
    try:
        _do(organization_id, id_, until=time.monotonic() + seconds, show_life=show_life)
    except Exception as error:
        if is_outage(error):
            raise  # it is claimed again
        logger.exception("Dry run %d broke", id_)
        with tenant(organization_id):
            now = datetime.now(UTC)
            DryRunJob.objects.filter(pk=id_).update(finished_at=now, is_complete=False)


def _do(organization_id: int, id_: int, *, until: float, show_life: Callable[[], None]) -> None:
    """Decide step after step, each in a transaction of its own."""
    with tenant(organization_id):
        job = DryRunJob.objects.get(pk=id_)
        definition = msgspec.convert(job.definition, RuleDefinition)
        events, is_complete = _events_since(job.since, MOST_EVENTS)
        run = _Run(saving.compiled(definition), datetime.now(UTC), job.rule_id)
        DryRunJob.objects.filter(pk=id_).update(total=len(events), is_complete=is_complete)
    next_sign = time.monotonic() + _STEP_SECONDS
    done = 0
    while done < len(events) and time.monotonic() < until:
        with tenant(organization_id):
            if not run.waiting:
                run.load(events[done : done + BATCH])
            run.decide(min(until, time.monotonic() + _STEP_SECONDS))
            done = run.decided
            if not _save(id_, run, done):
                return  # cancelled
        if time.monotonic() >= next_sign:
            show_life()
            next_sign = time.monotonic() + _STEP_SECONDS
    with tenant(organization_id):
        # Locked before its events are read: an erasure empties them first, or waits for what is
        # read here and empties that.
        if not DryRunJob.objects.select_for_update().filter(pk=id_, finished_at=None).exists():
            return
        _save(
            id_,
            run,
            done,
            finished_at=datetime.now(UTC),
            out_of_time=done < len(events),
            is_complete=is_complete and done == len(events),
            examples=[msgspec.to_builtins(example) for example in run.examples()],
        )


def _save(id_: int, run: "_Run", done: int, **more: object) -> bool:
    running = DryRunJob.objects.filter(pk=id_, finished_at=None)
    return bool(
        running.update(
            done=done,
            would_send=len(run.would_send),
            skipped=dict(run.skipped),
            not_matched=dict(run.not_matched),
            **more,
        )
    )


def outcome_of(job: DryRunJob) -> DryRun:
    """Return what a job has found so far."""
    return DryRun(
        since=job.since,
        events=job.done,
        is_complete=job.is_complete and job.status == DryRunStatus.FINISHED,
        would_send=job.would_send,
        skipped=job.skipped,
        not_matched=job.not_matched,
        examples=msgspec.convert(job.examples, tuple[Example, ...]),
    )


def _events_since(since: datetime, most: int) -> tuple[list[tuple[int, datetime, int]], bool]:
    """Return the newest events, the oldest first, and whether they are all."""
    newest = Event.objects.filter(received_at__gte=since).order_by("-received_at", "-id")
    rows = list(newest.values_list("id", "received_at", "app_id")[: most + 1])
    return rows[most - 1 :: -1] if len(rows) > most else rows[::-1], len(rows) <= most


@dataclass(slots=True)
class _Run:
    """Decides one rule batch after batch, the oldest events first, as they came."""

    rule: CompiledRule
    now: datetime
    rule_id: int | None
    decided: int = 0
    would_send: list[_EventKey] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    not_matched: Counter[str] = field(default_factory=Counter)
    waiting: deque[tuple[StoredEvent, KnownInstall | None, RatesOfDays]] = field(
        default_factory=deque
    )
    _installs: KnownInstalls = field(default_factory=KnownInstalls)
    _served: set[str] = field(default_factory=set)

    def load(self, batch: Sequence[tuple[int, datetime, int]]) -> None:
        """Load a batch of events to decide, and count those of other apps."""
        only_app = self.rule.definition.app_id
        keys = [(id_, at) for id_, at, app_id in batch if only_app in {None, app_id}]
        if len(keys) < len(batch):
            self.not_matched["app"] += len(batch) - len(keys)
        events = load_events(keys)
        installs = foresee_installs(events, self._installs)
        rates = load_rates(event.event_time for event in events if event.has_money)
        self.waiting.extend((event, installs.get(event.id), rates) for event in events)
        self.decided += len(batch) - len(events)

    def decide(self, until: float) -> None:
        """Decide what is loaded and count the outcomes; what is left at that time waits."""
        decided: list[Decision | Refusal] = []
        while self.waiting and not (decided and time.monotonic() >= until):
            decided.append(self._decide(*self.waiting.popleft()))
        self.decided += len(decided)
        served = self._served_before(decided)
        for outcome in decided:
            self._count(outcome, served)

    def outcome(self, since: datetime) -> DryRun:
        """Return what was decided of all events since a time."""
        return DryRun(
            since=since,
            events=self.decided,
            is_complete=True,
            would_send=len(self.would_send),
            skipped=self.skipped,
            not_matched=self.not_matched,
            examples=tuple(self.examples()),
        )

    def examples(self) -> Iterator[Example]:
        """Yield the newest requests, until those that take long have taken long enough."""
        until = time.monotonic() + _EXAMPLES_SECONDS
        events = load_events(self.would_send[-EXAMPLES:])
        rates = load_rates(event.event_time for event in events if event.has_money)
        installs = foresee_installs(events, self._installs)
        for event in reversed(events):
            yield self._example(event, installs.get(event.id), rates)
            if time.monotonic() >= until:
                return

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
