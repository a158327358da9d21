"""Sends postbacks again because a person asks for it.

What was tried goes by the rule of now, or, if the person says so, by the version that decided it. A
skipped postback is decided again by the rule of now, in its own row.
"""

import logging
from datetime import UTC, datetime
from typing import Any

from django.db import connection, transaction

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from postbacks.attribution.installs import KnownInstalls, foresee_installs
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.decisions import (
    Decision,
    claim_first_times,
    first_refusal_or_decision,
    first_time_key,
    uses_first_time,
)
from postbacks.callbacks.rendering import render_postbacks
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.delivery.resend import enqueue_again, resend_refusal
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import AttemptKind, Postback, PostbackStatus, SkipReason
from postbacks.models.heartbeats import wake_pumps
from postbacks.models.stored import load_events
from postbacks.rulebook.postback_reasons import skip_reason_sentence
from postbacks.values.events import StoredEvent
from postbacks.values.install_context import install_context
from postbacks.values.outgoing_request import ClaimedPostback

logger = logging.getLogger(__name__)

_DECIDE_AGAIN = load_sql("postbacks.rulebook", "decide_again", PostbackStatus)

_BEING_SENT = "It is being sent at this moment."
_NOT_APPLICABLE = "The rule can't be applied; the operator's log says why. Save it again."
_NEVER_DECIDED = (
    "It was skipped as decided. Resend it without as_decided, and the rule of now decides it again."
)


class NotResendableError(Exception):
    """The postback can't be sent again; the message says why, and `code` in one word."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


@transaction.atomic
def resend(postback: Postback, *, as_decided: bool = False) -> None:
    """Have a postback sent now, with a fresh retry schedule.

    It goes by the current version of its rule; `as_decided` by the one that decided it. A pending
    one goes out at once instead of at its next try, unless a worker has it right now. A delivered
    one stays delivered, even if the new attempt fails. A skipped one is decided again. Raises
    NotResendableError.
    """
    if refusal := resend_refusal(postback):
        raise NotResendableError(refusal, "refused")
    decided_by, current = _load_rules(postback)
    if postback.status == PostbackStatus.SKIPPED:
        if as_decided:
            raise NotResendableError(_NEVER_DECIDED, "never_decided")
        _resend_skipped(postback, current)
        return
    rule = decided_by if as_decided else current
    pinned_version = rule.version if as_decided else None
    if postback.status == PostbackStatus.DELIVERED:
        _check_goes_again(postback, pinned_version)
    if not enqueue_again(
        postback,
        host=rule.lane,
        is_paced=current.definition.is_paced,
        pinned_version=pinned_version,
    ):
        raise NotResendableError(_BEING_SENT, "pending")
    wake_pumps()
    postback.refresh_from_db()
    log_action(Action.RESENT, postback)


def _load_rules(postback: Postback) -> tuple[CompiledRule, CompiledRule]:
    """Return the version that decided a postback, and the current one."""
    key = (postback.rule_id, postback.rule_version)
    rules = load_rule_versions([key])
    current = [rule for rule in rules.values() if rule.version == rule.current_version]
    if key not in rules or not current:
        raise NotResendableError(
            "Its rule can't be read any more; the operator's log says why.", SkipReason.RULE_ERROR
        )
    if current[0].is_archived or rules[key].is_archived:
        raise NotResendableError("The rule's partner is archived.", SkipReason.RULE_ARCHIVED)
    return rules[key], current[0]


def _check_goes_again(postback: Postback, pinned_version: int | None) -> None:
    """Refuse what would be skipped: a delivered postback stays so, and nobody would see why."""
    claimed = ClaimedPostback(
        organization_id=postback.organization_id,
        id=postback.pk,
        public_id=postback.public_id,
        rule_id=postback.rule_id,
        rule_version=postback.rule_version,
        event_id=postback.event_id or 0,
        event_received_at=postback.event_received_at,
        installed_at=postback.installed_at,
        created_at=postback.created_at,
        attempts_made=postback.attempts_made,
        fingerprint=postback.fingerprint,
        pinned_version=pinned_version,
        install_id=postback.install_id,
        attribution_version=postback.attribution_version,
    )
    (rendered,) = render_postbacks([claimed])
    if rendered.skipped:
        why = skip_reason_sentence(rendered.skipped)
        raise NotResendableError(
            f"It was delivered, and the rule of now would skip it. {why}", rendered.skipped
        )


def requeue_skipped(
    postback: Postback,
    rule: CompiledRule,
    *,
    kind: AttemptKind = AttemptKind.RESEND,
    due_at: datetime | None = None,
) -> None:
    """Decide a skipped postback again and queue it, due now unless the caller says when.

    Raises NotResendableError where the rule of now does not want it; what was written until then
    is the caller's to roll back.
    """
    decision = _decide(postback, rule)
    _claim_first_time(decision)
    if not _update(postback, decision) or not enqueue_again(
        postback, host=rule.lane, is_paced=rule.definition.is_paced, kind=kind, due_at=due_at
    ):
        raise NotResendableError(_BEING_SENT, "pending")  # somebody else was quicker


def _resend_skipped(postback: Postback, rule: CompiledRule) -> None:
    skipped_for = postback.reason
    requeue_skipped(postback, rule)
    wake_pumps()
    postback.refresh_from_db()
    before, now = PostbackStatus.SKIPPED.value, PostbackStatus.PENDING.value
    changes = {"status": [before, now], "reason": [skipped_for, ""]}
    log_action(Action.RESENT, postback, changes=changes)


def _decide(postback: Postback, rule: CompiledRule) -> Decision:
    """Decide the event of a skipped postback by the rule and the credit of now."""
    event = _load_event(postback)
    now = datetime.now(UTC)
    install = install_context(event, foresee_installs([event], KnownInstalls()).get(event.id))
    rates = load_rates([event.event_time] if event.has_money else []).of(
        event.event_time, known_at=now
    )
    try:
        decided = first_refusal_or_decision(rule, event, install, now=now, rates=rates)
    except Exception:
        logger.exception("Rule %d could not be applied to event %s", rule.rule_id, event.event_id)
        raise NotResendableError(_NOT_APPLICABLE, SkipReason.RULE_ERROR) from None
    if isinstance(decided, Refusal):
        raise NotResendableError(
            f"The rule of now does not want its event. {decided.detail}", "not_wanted"
        )
    if decided.reason:
        why = skip_reason_sentence(decided.reason)
        raise NotResendableError(
            f"It was skipped, and the rule of now skips it too. {why}", decided.reason
        )
    newer = Postback.objects.filter(
        event_received_at=postback.event_received_at,
        rule_id=postback.rule_id,
        sdk_event_id=postback.sdk_event_id,
        attribution_version=install.attribution_version,
        test=False,
    ).exclude(pk=postback.pk)
    if newer.exists():
        raise NotResendableError(
            "Its install has been credited again since; resend the newer postback of its event.",
            "credited_anew",
        )
    return decided


def _load_event(postback: Postback) -> StoredEvent:
    key = postback.event_id
    events = load_events([(key, postback.event_received_at)] if key is not None else [])
    if not events:
        raise NotResendableError("The event's data are no longer stored.", "event_gone")
    return events[0]


def _claim_first_time(decision: Decision) -> None:
    if uses_first_time(decision) and first_time_key(decision) not in claim_first_times([decision]):
        raise NotResendableError("The rule has sent for this device before.", "first_time_used")


def _update(postback: Postback, decision: Decision) -> bool:
    install = decision.install
    parameters: dict[str, Any] = {
        "organization": postback.organization_id,
        "id": postback.pk,
        "received": postback.event_received_at,
        "version": decision.rule.version,
        "install": install.install_id,
        "installed_at": install.installed_at,
        "attribution_version": install.attribution_version,
    }
    with connection.cursor() as cursor:
        cursor.execute(_DECIDE_AGAIN, parameters)
        return cursor.fetchone() is not None
