"""One real request of a rule, saved or not, because a person wants to see the answer.

It is drawn up and written down in transactions of the tenant and sent between them, outside of any:
nobody waits for the network inside one. It is rendered, signed, sent, judged and masked by the code
that sends postbacks, and is tried once.
"""

import hashlib
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import msgspec
from django.conf import settings

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.models import App
from apps_registry.models.signing import ensure_signing_secret
from apps_registry.tenancy import NoTenantError, current_organization
from postbacks.callbacks.disclosure import lacks_consent
from postbacks.callbacks.facts import PostbackFacts
from postbacks.callbacks.rendering import render_postback
from postbacks.callbacks.rules.definition import RuleDefinition
from postbacks.callbacks.rules.versions import definition_from, definition_of
from postbacks.callbacks.signing_secrets import load_signing_secrets
from postbacks.delivery.attempt import attempt
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.claiming import Lease
from postbacks.delivery.http.destinations import Destinations
from postbacks.delivery.http.sender import Sender
from postbacks.delivery.success import parse_success
from postbacks.infrastructure.rate_limits import limiter
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    Event,
    Postback,
    PostbackStatus,
)
from postbacks.rulebook import saving
from postbacks.values.outgoing_request import ClaimedPostback, RenderedPostback
from postbacks.values.rule_choices import WithoutConsent
from postbacks.values.uuid7 import uuid7

_REMEMBERED = timedelta(days=30)  # how far back a delivery counts as proof
_NO_CONSENT = (
    "The person of this event did not consent, so the rule would not send it. Choose another event."
)


class NotTestableError(Exception):
    """No request can be made of the rule and the event; the message says why."""


class TooManyTestsError(Exception):
    """The organization tests too often; `wait` are the seconds until the next may go out."""

    def __init__(self, wait: int) -> None:
        unit = "second" if wait == 1 else "seconds"
        super().__init__(f"Too many tests in a short time; try again in {wait} {unit}.")
        self.wait = wait


@dataclass(frozen=True, slots=True)
class Trial:
    """A test that is ready to go out. `app_id` is None where a rule for all apps has a sample."""

    organization_id: int
    public_id: uuid.UUID
    made_at: datetime
    definition: RuleDefinition
    prepared: RenderedPostback
    sdk_event_id: uuid.UUID
    event_name: str
    app_id: int | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Whether the partner took it, in a sentence that says what would count."""

    ok: bool
    reason: str


def prepare_test(
    definition: RuleDefinition,
    *,
    event: Event | None = None,
    sdk_event: dict[str, object] | None = None,
    app: App | None = None,
) -> Trial:
    """Return what a rule sends for a stored event, a given one, or a sample.

    Raises NotTestableError, TooManyTestsError, and SampleEventError where a given event is wrong.
    """
    organization_id = current_organization()
    if organization_id is None:
        raise NoTenantError("A test was drawn up outside of an organization.")
    verdict = limiter.limit(f"test-send:{organization_id}", settings.RATE_LIMIT_TESTS)
    if not verdict.allowed:
        raise TooManyTestsError(verdict.retry_after)
    now = datetime.now(UTC)
    made_at = now.replace(microsecond=now.microsecond // 1000 * 1000)  # as the log keeps it
    public_id = uuid7(made_at)
    rule = saving.compiled(definition)
    if rule.is_archived:
        raise NotTestableError("The partner is archived.")
    facts = saving.facts_for(definition, event=event, sdk_event=sdk_event, app=app)
    name = facts.postback.partner_event_name if facts.postback else None
    partner = rule.partner.public_id if rule.partner else None
    facts = replace(facts, postback=PostbackFacts(public_id, made_at, name, partner))
    if definition.without_consent == WithoutConsent.SKIP and lacks_consent(rule, facts):
        raise NotTestableError(_NO_CONSENT)
    if definition.sign:
        ensure_signing_secret()
    signing = load_signing_secrets([organization_id] if definition.sign else [])
    rates = saving.rates_for(facts, is_sample=event is None and sdk_event is None)
    prepared = render_postback(rule, facts, rates, signing.get(organization_id, ()))
    if prepared.rendering is None:
        raise NotTestableError(prepared.refusal)
    known_app = event.app_id if event else app.pk if app else None
    return Trial(
        organization_id=organization_id,
        public_id=public_id,
        made_at=made_at,
        definition=definition,
        prepared=replace(prepared, retry_delays=()),
        sdk_event_id=facts.event.event_id,
        event_name=facts.event.event_name,
        app_id=known_app or definition.app_id,
    )


def send(trial: Trial) -> AttemptResult:
    """Send the request once and return what came of it. Call it outside of any transaction."""
    owed = ClaimedPostback(
        organization_id=trial.organization_id,
        id=0,
        public_id=trial.public_id,
        rule_id=0,
        rule_version=0,
        event_id=0,
        event_received_at=trial.made_at,
        installed_at=None,
        created_at=trial.made_at,
        attempts_made=0,
        fingerprint="",
    )
    claim = Lease(uuid.uuid4(), "", AttemptKind.TEST, 0, owed)
    with Sender(Destinations(settings.ALLOW_PRIVATE_DESTINATIONS), pool_size=1) as sender:
        return attempt(claim, trial.prepared, sender)


def judge_test(trial: Trial, finished: AttemptResult) -> Judgement:
    """Return whether the answer counts as received, and what would."""
    wanted = parse_success(trial.definition.success).words
    if is_received(finished):
        return Judgement(
            ok=True, reason=f"The partner answered {finished.status_code}. What counts is {wanted}."
        )
    return Judgement(ok=False, reason=f"{finished.detail} What would count is {wanted}.".strip())


def is_received(finished: AttemptResult) -> bool:
    """Tell whether the partner took the test."""
    return finished.status == PostbackStatus.DELIVERED


def attempt_of(finished: AttemptResult) -> DeliveryAttempt:
    """Return a test as the delivery log shows attempts; not saved, and of no postback yet."""
    return DeliveryAttempt(
        number=finished.number,
        kind=AttemptKind.TEST,
        started_at=finished.started_at,
        duration_ms=finished.duration_ms,
        outcome=finished.outcome,
        status_code=finished.status_code,
        error=finished.error,
        detail=finished.detail,
        request=finished.request,
        response=finished.response,
    )


def log_test(trial: Trial, finished: AttemptResult, rule: CallbackRule) -> Postback:
    """Log a test of a saved rule; a success is remembered with the version that it proves."""
    received_at = datetime.now(UTC) if is_received(finished) else None
    postback = Postback.objects.create(
        public_id=trial.public_id,
        rule=rule,
        rule_version=rule.version,
        app_id=trial.app_id,
        sdk_event_id=trial.sdk_event_id,
        event_name=trial.event_name,
        event_received_at=trial.made_at,
        status=finished.status,
        reason="" if received_at else finished.error,
        test=True,
        attempts_made=1,
        last_status_code=finished.status_code,
        fingerprint=finished.fingerprint,
        created_at=trial.made_at,
        delivered_at=received_at,
    )
    logged = attempt_of(finished)
    logged.postback, logged.event_received_at = postback, trial.made_at
    logged.save()
    if received_at:
        remember(rule, rule.version, at=received_at)
    log_action(Action.TESTED, rule)
    return postback


def audit_unsaved_test(trial: Trial) -> None:
    """Write into the audit log that a rule was tried which is not saved: there is nothing else."""
    host = trial.definition.url.partition("://")[2].partition("/")[0].partition("?")[0]
    log_action(Action.TESTED, name=f"unsaved callback rule to {host}"[:120])


def remember(rule: CallbackRule, version: int, *, at: datetime) -> None:
    """Remember when a version's request was last seen to work."""
    rule.versions.filter(number=version).update(tested_at=at)


def proof_of(definition: RuleDefinition) -> str:
    """Return what a successful test of a rule proves, saved or not, as a short text."""
    text = str(current_organization()).encode() + definition.request_text
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def is_proven(rule: CallbackRule) -> bool:
    """Tell whether what a rule says now was seen to work: by a test, or by what it delivered.

    The rule may be about to be saved; then its version is the one that was saved before.
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
    return Postback.objects.filter(
        rule_id=rule.pk,
        rule_version=rule.version,
        status=PostbackStatus.DELIVERED,
        test=False,
        event_received_at__gte=datetime.now(UTC) - _REMEMBERED,
    ).exists()
