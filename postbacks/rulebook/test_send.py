"""Test sends: one real request of a rule, saved or not, whose answer a person wants to see.

A test is prepared where it is asked for, and sent by a worker (`test_sender`), for which the person
waits a while. The code that sends postbacks renders, signs, sends, judges and masks it, and tries
it once.
"""

import hashlib
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from threading import BoundedSemaphore

import msgspec
from django.conf import settings
from django.db.models import Exists, OuterRef, Q

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.crypto.encryption import encrypt
from apps_registry.models import App
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.tenancy import NoTenantError, current_organization, tenant
from postbacks.callbacks.facts import PostbackFacts
from postbacks.callbacks.rendering import render_postback
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.versions import definition_from, definition_of
from postbacks.callbacks.signing_secrets import load_signing_secrets
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.success import parse_success
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.infrastructure.database.statements import run
from postbacks.infrastructure.rate_limits import limiter
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    Event,
    Postback,
    PostbackStatus,
    TestSend,
    WorkerHeartbeat,
)
from postbacks.rulebook import saving
from postbacks.rulebook.trial_events import reasons_to_skip, skip_sentence, trial_event
from postbacks.values.outgoing_request import RenderedPostback
from postbacks.values.uuid7 import uuid7

CHANNEL = "postbacks_tests"
WAIT_SECONDS = 20.0
SHORT_WAIT_SECONDS = 2.0  # of a page, whose script then asks again
MOST_WAITING = 3  # of an organization: fewer than may wait in one process
HOST_ANSWERS = (
    "The host was left alone since it failed; it answers again, so what waits for it is sent now."
)
_PROOF_LASTS = timedelta(days=30)
_TESTS_LAST = timedelta(minutes=2)  # by then they are given up
_NEXT_IN_SECONDS = 5
_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.25


class NotTestableError(Exception):
    """The rule can't send a test for the event; the message says why."""


class WouldBeSkippedError(Exception):
    """The rule, switched on, would not send the event; `even_if_skipped` sends it all the same."""

    def __init__(self, reasons: tuple[Refusal, ...]) -> None:
        super().__init__(skip_sentence(reasons))
        self.reasons = reasons


class TooManyTestsError(Exception):
    """The organization tests too often or too much at once; try again in `wait` seconds."""

    def __init__(self, wait: int, what: str = "Too many tests in a short time") -> None:
        unit = "second" if wait == 1 else "seconds"
        super().__init__(f"{what}; try again in {wait} {unit}.")
        self.wait = wait
        self.what = what


class NoWorkerError(Exception):
    """No worker lives that could send a test."""

    def __init__(self) -> None:
        super().__init__(
            "No worker is running, so nothing can be sent. "
            "Start one with “python manage.py worker”, or tell the operator."
        )


@dataclass(frozen=True, slots=True)
class PreparedTest:
    """A test that is ready to be sent. `app_id` is None if a rule for all apps has a sample.

    With `skips` the rule would not send the event, and somebody insisted.
    """

    organization_id: int
    public_id: uuid.UUID
    made_at: datetime
    definition: RuleDefinition
    rendered: RenderedPostback
    sdk_event_id: uuid.UUID
    event_name: str
    app_id: int | None
    skips: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the partner accepted a test, and a sentence with the rule's success condition."""

    ok: bool
    reason: str


def count_test(organization_id: int) -> None:
    """Count one of an organization's tests, of rules and alerts. Raises TooManyTestsError."""
    verdict = limiter.limit(f"test-send:{organization_id}", settings.RATE_LIMIT_TESTS)
    if not verdict.allowed:
        raise TooManyTestsError(verdict.retry_after)


def prepare_test(
    definition: RuleDefinition,
    *,
    event: Event | None = None,
    sdk_event: dict[str, object] | None = None,
    app: App | None = None,
    even_if_skipped: bool = False,
) -> PreparedTest:
    """Render a test for a stored event, a given one, or a sample.

    Raises NotTestableError, TooManyTestsError, SampleEventError if a given event is not valid, and
    WouldBeSkippedError unless `even_if_skipped`.
    """
    organization_id = current_organization()
    if organization_id is None:
        raise NoTenantError("A test was prepared outside of an organization.")
    count_test(organization_id)
    now = datetime.now(UTC)
    if too_much := saving.size_problems(definition):
        raise NotTestableError(" ".join(problem.message for problem in too_much))
    made_at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as the log stores it
    public_id = uuid7(made_at)
    rule = saving.compiled(definition)
    if rule.is_archived:
        raise NotTestableError("The partner is archived.")
    trial = trial_event(definition, event=event, sdk_event=sdk_event, app=app)
    facts = trial.facts
    name = facts.postback.partner_event_name if facts.postback else None
    partner = rule.partner.public_id if rule.partner else None
    facts = replace(facts, postback=PostbackFacts(public_id, made_at, name, partner))
    if definition.sign:
        ensure_signing_secret()
    signing = load_signing_secrets([organization_id] if definition.sign else [])
    rendered = render_postback(rule, facts, trial.rates, signing.get(organization_id, ()))
    if rendered.rendering is None:
        raise NotTestableError(rendered.refusal)
    skips = reasons_to_skip(rule, trial)
    if skips and not even_if_skipped:
        raise WouldBeSkippedError(skips)
    event_app_id = event.app_id if event else app.pk if app else None
    return PreparedTest(
        organization_id=organization_id,
        public_id=public_id,
        made_at=made_at,
        definition=definition,
        rendered=replace(rendered, retry_delays=(), lane=rule.lane),
        sdk_event_id=facts.event.event_id,
        event_name=facts.event.event_name,
        app_id=event_app_id or definition.app_id,
        skips=skips,
    )


def start(prepared: PreparedTest, rule: CallbackRule | None) -> TestSend:
    """Have a worker send a test, in the current transaction; wait for it once that has ended.

    The test of a saved rule gets its postback now. Raises NoWorkerError and TooManyTestsError.
    """
    if not WorkerHeartbeat.is_any_alive():
        raise NoWorkerError
    take_turns("test_send")
    recently = datetime.now(UTC) - _TESTS_LAST
    waiting = TestSend.objects.filter(finished_at=None, made_at__gte=recently).count()
    if waiting >= MOST_WAITING:
        raise TooManyTestsError(
            _NEXT_IN_SECONDS,
            f"{MOST_WAITING} tests of this organization wait for answers, as many as may",
        )
    test = TestSend(
        public_id=prepared.public_id,
        organization_id=prepared.organization_id,
        rule=rule,
        rule_version=rule.version if rule else 0,
        definition=msgspec.to_builtins(prepared.definition),
        skips=[{"code": skip.code, "detail": skip.detail} for skip in prepared.skips],
        sdk_event_id=prepared.sdk_event_id,
        made_at=prepared.made_at,
    )
    rendered = msgspec.json.encode(prepared.rendered).decode()
    test.sealed = encrypt(rendered, context=test.seal_context)
    test.save()
    if rule is None:
        _audit_unsaved_test(prepared)
    else:
        _begin_postback(prepared, rule)
        log_action(Action.TESTED, rule)
    run("SELECT pg_notify(%s, '')", [CHANNEL])
    return test


def wait_for(test: TestSend, seconds: float = WAIT_SECONDS) -> AttemptResult | None:
    """Wait for the answer to a test; None if none came in time, or too many wait here already.

    Call this outside of any transaction. At most half of the process's threads wait here.
    """
    waiters = _waiters()
    if not waiters.acquire(blocking=False):
        return None
    try:
        until = time.monotonic() + seconds
        pause = _SHORTEST_PAUSE
        while (result := _answer_to(test)) is None and time.monotonic() < until:
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return result
    finally:
        waiters.release()


@cache
def _waiters() -> BoundedSemaphore:
    """Return what bounds how many threads of this process wait; the others answer requests."""
    return BoundedSemaphore(settings.WEB_THREADS // 2)


def _answer_to(test: TestSend) -> AttemptResult | None:
    with tenant(test.organization_id):
        stored = TestSend.objects.filter(pk=test.pk).values_list("claimed_at", "result").first()
    if stored is not None:  # else the device that it named is forgotten
        test.claimed_at, test.result = stored
    return result_of(test)


def result_of(test: TestSend) -> AttemptResult | None:
    """Return the answer to a test; None as long as there is none."""
    return None if test.result is None else msgspec.convert(test.result, AttemptResult)


def definition_of_test(test: TestSend) -> RuleDefinition:
    """Return the rule that was tested, saved or not."""
    return msgspec.convert(test.definition, RuleDefinition)


def skips_of(test: TestSend) -> tuple[Refusal, ...]:
    """Return why the rule would not have sent what somebody insisted on; empty for others."""
    return tuple(Refusal(skip["code"], skip["detail"]) for skip in test.skips)


def mark_of(test: TestSend) -> str:
    """Return what the log says of a test that somebody insisted on; empty for others."""
    return f"Sent all the same. {skip_sentence(skips_of(test))}" if test.skips else ""


def judge_test(test: TestSend, finished: AttemptResult) -> Judgement:
    """Judge the answer to a test by the rule's success condition."""
    condition = parse_success(definition_of_test(test).success).words
    if is_received(finished):
        answer = f"The partner answered {finished.status_code}. What counts is {condition}."
        return Judgement(ok=True, reason=f"{mark_of(test)} {answer} {finished.detail}".strip())
    return Judgement(ok=False, reason=f"{finished.detail} What would count is {condition}.".strip())


def is_received(finished: AttemptResult) -> bool:
    return finished.status == PostbackStatus.DELIVERED


def attempt_of(finished: AttemptResult) -> DeliveryAttempt:
    """Return a test as an unsaved attempt of the delivery log, without a postback yet."""
    return DeliveryAttempt(
        number=finished.number,
        kind=AttemptKind.TEST,
        started_at=finished.started_at,
        duration_ms=finished.duration_ms,
        packed_timings=finished.timings,
        outcome=finished.outcome,
        status_code=finished.status_code,
        error=finished.error,
        detail=finished.detail,
        request=finished.request,
        response=finished.response,
    )


def _begin_postback(prepared: PreparedTest, rule: CallbackRule) -> None:
    Postback.objects.create(
        public_id=prepared.public_id,
        rule=rule,
        rule_version=rule.version,
        app_id=prepared.app_id,
        sdk_event_id=prepared.sdk_event_id,
        event_name=prepared.event_name,
        event_received_at=prepared.made_at,
        status=PostbackStatus.PENDING,
        test=True,
        created_at=prepared.made_at,
    )


def log_test(test: TestSend, finished: AttemptResult) -> None:
    """Log the answer to the test of a saved rule; a success proves the rule's version.

    With an event that the rule would skip it proves nothing: such a request is never sent.
    """
    received_at = datetime.now(UTC) if is_received(finished) else None
    postback = postback_of(test)
    if postback is None:  # of an organization that is being removed
        return
    Postback.objects.filter(pk=postback.pk, event_received_at=test.made_at).update(
        status=finished.status,
        reason="" if received_at else finished.error,
        attempts_made=1,
        last_status_code=finished.status_code,
        fingerprint=finished.fingerprint,
        delivered_at=received_at,
    )
    logged = attempt_of(finished)
    logged.postback, logged.event_received_at = postback, test.made_at
    logged.rule_version = test.rule_version
    logged.save()
    if received_at and not test.skips:
        mark_tested(postback.rule, test.rule_version, at=received_at)


def postback_of(test: TestSend) -> Postback | None:
    """Return the postback that the test of a saved rule has in the log."""
    return Postback.objects.filter(
        public_id=test.public_id, event_received_at=test.made_at, rule_id=test.rule_id
    ).first()


def _audit_unsaved_test(prepared: PreparedTest) -> None:
    """Record the test of an unsaved rule in the audit log, its only trace."""
    host = prepared.definition.url.partition("://")[2].partition("/")[0].partition("?")[0]
    log_action(Action.TESTED, name=f"unsaved callback rule to {host}"[:120])


def mark_tested(rule: CallbackRule, version: int, *, at: datetime) -> None:
    """Store when a version's request last succeeded."""
    rule.versions.filter(number=version).update(tested_at=at)


def proof_of(definition: RuleDefinition) -> str:
    """Return a digest of what a successful test of a rule proves, saved or not."""
    text = str(current_organization()).encode() + definition.request_text
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def is_proven(rule: CallbackRule) -> bool:
    """Tell whether a rule's request has succeeded, in a test or in a delivery.

    The rule may be about to be saved; its version is then the one saved before.
    """
    version = rule.versions.filter(number=rule.version).first() if rule.pk else None
    try:
        if (
            version is None
            or definition_of(version).request_text != definition_from(rule).request_text
        ):
            return False
    except msgspec.ValidationError:
        return False
    return version.tested_at is not None or _has_delivered(rule)


def _has_delivered(rule: CallbackRule) -> bool:
    by_this_version = DeliveryAttempt.objects.filter(
        Q(rule_version=rule.version) | Q(rule_version=None, postback__rule_version=rule.version),
        postback=OuterRef("pk"),
        event_received_at=OuterRef("event_received_at"),
        outcome=Outcome.DELIVERED,
    )
    delivered = Postback.objects.filter(
        Q(rule_version=rule.version) | Q(other_fingerprints__has_key=str(rule.version)),
        rule_id=rule.pk,
        status=PostbackStatus.DELIVERED,
        test=False,
        event_received_at__gte=datetime.now(UTC) - _PROOF_LASTS,
    )
    return delivered.filter(Exists(by_this_version)).exists()
