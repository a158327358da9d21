"""Everything about one postback: what its row opens to and what its page shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property

from django.urls import reverse
from django.utils import timezone

from apps_registry.admin_base.theme import Tone
from postbacks.admin.logs.http_exchange import (
    ShownAnswer,
    ShownRequest,
    request_view,
    response_view,
)
from postbacks.callbacks.credits import KnownCredit, load_credits
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import values_for
from postbacks.callbacks.macros import Rates, TemplateError, Value
from postbacks.callbacks.rendering import facts_by_credit
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.delivery.attempt_log import RULE_OFF
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.resend import resend_refusal
from postbacks.insights import wording
from postbacks.models import (
    CallbackRuleVersion,
    DeliveryAttempt,
    Postback,
    PostbackStatus,
    SkipReason,
)
from postbacks.models.stored import load_events
from postbacks.values.events import StoredEvent

# FOLDED from postback_missing.py


def missing_words(postback: Postback) -> str:
    """Return which required macros have no value in the postback's event.

    Where that can't be known any more, all that its rule requires are named; empty if even its
    rule can't be read.
    """
    version = (postback.rule_id, postback.rule_version)
    rule = load_rule_versions([version]).get(version)
    key = postback.event_id
    events = load_events([(key, postback.event_received_at)] if key is not None else [])
    if rule is None:
        return ""
    try:
        missing = _missing(rule, events[0], postback) if events else []
        required = [it.names[0] for it in rule.request.expressions if it.required and it.names]
    except TemplateError:
        return ""
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        return f"{_listed(missing)} {verb} no value in this event."
    return f"The rule requires {_listed(list(dict.fromkeys(required)))}." if required else ""


def _values(
    rule: CompiledRule, event: StoredEvent, postback: Postback, rates: Rates
) -> Mapping[str, Value]:
    version = (postback.install_id or 0, postback.attribution_version)
    credit = load_credits([version]).get(version, KnownCredit())
    return values_for(rule, facts_by_credit(rule, event, credit, postback), rates)


def _missing(rule: CompiledRule, event: StoredEvent, postback: Postback) -> list[str]:
    """Ask for one missing macro after the other, each time as if those found had a value."""
    moment = event.event_time
    rates = load_rates([moment]).of(moment, known_at=postback.created_at)
    known, found = dict(_values(rule, event, postback, rates)), dict[str, Value]()
    ask = rule.request.missing_required
    while (name := ask({**known, **found}, rates=rates)) and name not in found:
        found[name] = "1"
    return list(found)


def _listed(names: Sequence[str]) -> str:
    *others, last = ("{{" + name + "}}" for name in names)
    return f"{', '.join(others)} and {last}" if others else last


# FOLDED from postback_words.py

_TONES = {
    PostbackStatus.PENDING.value: Tone.INFO,
    PostbackStatus.DELIVERED.value: Tone.GOOD,
    PostbackStatus.FAILED.value: Tone.BAD,
    PostbackStatus.SKIPPED.value: Tone.STILL,
}

_OUTCOMES = {
    "delivered": ("Delivered", Tone.GOOD),
    "retry": ("Tried again later", Tone.BUSY),
    "failed": ("Failed", Tone.BAD),
}


@dataclass(frozen=True, slots=True)
class StatusBadge:
    """A state in a word or two, how it looks, and why it is so."""

    text: str
    tone: Tone
    note: str = ""


def status_badge(postback: Postback) -> StatusBadge:
    if postback.status == PostbackStatus.PENDING:
        return _pending(postback)
    tone = _TONES.get(postback.status, Tone.STILL)
    return StatusBadge(postback.get_status_display(), tone, _note(postback))


def _pending(postback: Postback) -> StatusBadge:
    if postback.reason == RULE_OFF:
        return StatusBadge("Waiting", Tone.BUSY, "Its rule is off")
    if postback.attempts_made:
        return StatusBadge("Retrying", Tone.BUSY, next_try(postback))
    return StatusBadge("Pending", Tone.INFO, next_try(postback))


def _note(postback: Postback) -> str:
    if postback.status == PostbackStatus.SKIPPED:
        reasons = dict(SkipReason.choices)
        return (
            str(reasons.get(SkipReason(postback.reason), "")) if postback.reason in reasons else ""
        )
    if postback.next_attempt_at is not None:
        return "It is being sent again"
    if postback.status == PostbackStatus.FAILED and not postback.reason.startswith("http_"):
        return wording.answer(postback.reason) if postback.reason else ""
    return ""


def next_try(postback: Postback) -> str:
    """Return when the next try is due, empty when there is none."""
    if postback.next_attempt_at is None:
        return ""
    left = (postback.next_attempt_at - timezone.now()).total_seconds()
    return f"Next try in {wording.seconds(left)}" if left >= 1 else "The next try is due now"


def delivered_after(postback: Postback) -> str:
    """Return how long after the event's arrival a postback was delivered."""
    if postback.delivered_at is None:
        return ""
    return wording.seconds((postback.delivered_at - postback.event_received_at).total_seconds())


def outcome_of(attempt: DeliveryAttempt) -> StatusBadge:
    text, tone = _OUTCOMES.get(attempt.outcome, (attempt.outcome, Tone.STILL))
    return StatusBadge(text, tone)


def error_of(attempt: DeliveryAttempt) -> str:
    return wording.answer(attempt.error, attempt.status_code) if attempt.error else ""


def sentence_of(postback: Postback, delivered_by: int | None) -> str:
    """Return what happened in a sentence; `delivered_by` is the number of the try that did it."""
    tries = postback.attempts_made
    if postback.test:
        return _test_sentence(postback)
    if postback.status == PostbackStatus.SKIPPED:
        return "Decided not to send it: " + _lower(_note(postback) or "its rule says so") + "."
    if postback.status == PostbackStatus.DELIVERED:
        by = f" at the {_ordinal(delivered_by)} try" if delivered_by else ""
        again = " It is being sent again." if postback.next_attempt_at else ""
        return f"Delivered{by}, {delivered_after(postback)} after the event arrived.{again}"
    if postback.status == PostbackStatus.FAILED:
        reason = wording.answer(postback.reason) if postback.reason else "no delivery"
        return f"Given up after {_times(tries)}. The last result: {_lower(reason)}."
    if postback.reason == RULE_OFF:
        return "Waiting: its rule is off. It is sent as soon as the rule is switched on."
    return f"Not delivered yet after {_times(tries)}." if tries else "Not sent yet."


def _test_sentence(postback: Postback) -> str:
    if postback.status == PostbackStatus.DELIVERED:
        return "A test send, which counts nowhere. The partner took it."
    reason = _lower(wording.answer(postback.reason)) if postback.reason else "no delivery"
    return f"A test send, which counts nowhere. The partner did not take it: {reason}."


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _times(tries: int) -> str:
    return "1 try" if tries == 1 else f"{tries} tries"


def _lower(text: str) -> str:
    return text if text[:2].isupper() else text[:1].lower() + text[1:]


_USUAL_TIMEOUT = 15

_SOON = timedelta(seconds=30)

_SHOWN_ATTEMPTS = 50


@dataclass(frozen=True)
class PostbackRow:
    """A postback as one line of a list."""

    postback: Postback
    standing: StatusBadge
    delivered_after: str

    @classmethod
    def of(cls, postback: Postback) -> "PostbackRow":
        return cls(postback, status_badge(postback), delivered_after(postback))

    @cached_property
    def resend_refusal(self) -> str:
        return resend_refusal(self.postback)


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """One try: how it went, how long it took of the time it had, what was said."""

    attempt: DeliveryAttempt
    standing: StatusBadge
    error: str
    duration: str
    share: int
    request: ShownRequest | None
    answer: ShownAnswer | None


@dataclass(frozen=True, slots=True)
class PostbackStory:
    """A postback with its tries, newest first.

    `missing` says for lack of which macros it was skipped, empty if it was not.
    """

    row: PostbackRow
    sentence: str
    missing: str
    next_try: str
    next_at: datetime | None
    timeout_seconds: int
    attempts: Sequence[AttemptShown]
    hidden_attempts: int

    @property
    def postback(self) -> Postback:
        return self.row.postback

    @property
    def is_moving(self) -> bool:
        """Tell whether something is about to happen that is worth waiting for."""
        return self.next_at is not None and self.next_at <= timezone.now() + _SOON

    @property
    def resend_address(self) -> str:
        return reverse("admin:postbacks_postback_resend", args=[self.postback.pk])


def story_of(postback: Postback) -> PostbackStory:
    """Read a postback's tries; they lie in the day that its event says."""
    timeout = _timeout_of(postback)
    is_incomplete = postback.reason == SkipReason.MISSING_MACRO
    attempts = list(
        postback.attempts.filter(event_received_at=postback.event_received_at).order_by("-number")[
            :_SHOWN_ATTEMPTS
        ]
    )
    delivered = [it.number for it in attempts if it.outcome == Outcome.DELIVERED]
    return PostbackStory(
        row=PostbackRow.of(postback),
        sentence=sentence_of(postback, min(delivered, default=None)),
        missing=missing_words(postback) if is_incomplete else "",
        next_try=next_try(postback),
        next_at=postback.next_attempt_at,
        timeout_seconds=timeout,
        attempts=[attempt_view(attempt, timeout) for attempt in attempts],
        hidden_attempts=max(postback.attempts_made - len(attempts), 0),
    )


def attempt_view(attempt: DeliveryAttempt, timeout: int = _USUAL_TIMEOUT) -> AttemptShown:
    """Return one try as people read it; `timeout` is what the partner had, in seconds."""
    return AttemptShown(
        attempt=attempt,
        standing=outcome_of(attempt),
        error=error_of(attempt),
        duration=wording.seconds(attempt.duration_ms / 1000) if attempt.duration_ms else "",
        share=min(100, max(1, round(attempt.duration_ms / (timeout * 10)))),
        request=request_view(attempt.request),
        answer=response_view(attempt.response),
    )


def _timeout_of(postback: Postback) -> int:
    version = CallbackRuleVersion.objects.filter(
        rule_id=postback.rule_id, number=postback.rule_version
    ).first()
    definition = version.definition if version else None
    given = definition.get("timeout_seconds") if isinstance(definition, dict) else None
    return given if isinstance(given, int) and given > 0 else _USUAL_TIMEOUT
