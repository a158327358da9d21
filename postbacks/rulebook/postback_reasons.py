"""Says where postbacks stand: their state, the last answer, and why macros had no value."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from django.utils import timezone

from postbacks.callbacks.credits import KnownCredit, load_credit_versions
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import empty_macros_of
from postbacks.callbacks.empty_macros import EmptyMacro
from postbacks.callbacks.macros import TemplateError
from postbacks.callbacks.rendering import facts_with_credit
from postbacks.callbacks.rules.compiled import load_rule_versions
from postbacks.callbacks.rules.conditions import Refusal
from postbacks.delivery.http.response import TransportFailure
from postbacks.insights import wording
from postbacks.models import (
    AttemptKind,
    DeliveryAttempt,
    HeldReason,
    Postback,
    PostbackStatus,
    RuleStatus,
    SkipReason,
)
from postbacks.models.events import ERASED
from postbacks.models.stored import load_events
from postbacks.rulebook.breakers import BREAKER_OPEN

_LONGEST_QUOTE = 120
_SOON = timedelta(seconds=2)
_MOST_IN_A_SENTENCE = 4
_WITHOUT_ANSWER = frozenset(
    failure.value
    for failure in TransportFailure
    if failure not in {TransportFailure.BLOCKED, TransportFailure.INVALID_REQUEST}
)

OFF: Mapping[str, str] = {
    RuleStatus.DRAFT: "The rule is a draft; only active rules send.",
    RuleStatus.PAUSED: "The rule is paused.",
    RuleStatus.SUSPENDED: "We suspended the rule, since its partner refused or failed.",
    RuleStatus.ARCHIVED: "The rule was archived.",
}

EmptyMacros = tuple[EmptyMacro, ...]
PostbackVersion = tuple[Postback, int]  # with the number of its rule's version


class RuleDecision(StrEnum):
    """What a rule did with an event, as the API says it."""

    PENDING = "owed"
    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"
    NOT_MATCHED = "not_matched"
    HELD = "held"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def foreseen_label(self) -> str:
        """Return what would be done with an event that came now."""
        return _FORESEEN.get(self, "It would not be sent")


_LABELS: Mapping[RuleDecision, str] = {
    RuleDecision.PENDING: "Pending",
    RuleDecision.SENT: "Delivered",
    RuleDecision.FAILED: "Failed",
    RuleDecision.SKIPPED: "Skipped",
    RuleDecision.NOT_MATCHED: "Nothing sent",
    RuleDecision.HELD: "Held",
}
_FORESEEN: Mapping[RuleDecision, str] = {
    RuleDecision.PENDING: "It would be sent",
    RuleDecision.SKIPPED: "It would be skipped",
    RuleDecision.HELD: "It would be held",
}


@dataclass(frozen=True, slots=True)
class WaitingWords:
    """Why a pending postback is not sent: in a word, in a note, and in sentences."""

    label: str
    note: str
    detail: str


def empty_macros_by_request(
    requests: Iterable[PostbackVersion],
) -> dict[tuple[int, int], EmptyMacros]:
    """Return the macros without a value, by postback's row id and version of its rule.

    A test send has no stored event, and a forgotten device no data any more: they have none here.
    """
    named = [(p, version) for p, version in requests if p.event_id is not None]
    events = {
        event.id: event
        for event in load_events({(p.event_id or 0, p.event_received_at) for p, _ in named})
        if not event.device.startswith(ERASED)
    }
    rules = load_rule_versions((p.rule_id, version) for p, version in named)
    credits_ = load_credit_versions(
        (p.install_id, p.attribution_version) for p, _ in named if p.install_id is not None
    )
    rates = load_rates(event.event_time for event in events.values() if event.has_money)
    empty: dict[tuple[int, int], EmptyMacros] = {}
    for postback, version in named:
        event = events.get(postback.event_id or 0)
        rule = rules.get((postback.rule_id, version))
        if event is None or rule is None:
            continue
        credit = credits_.get(
            (postback.install_id or 0, postback.attribution_version), KnownCredit()
        )
        facts = facts_with_credit(rule, event, credit, postback)
        known_then = rates.of(event.event_time, known_at=postback.created_at)
        try:
            empty[postback.pk, version] = empty_macros_of(rule, facts, known_then)
        except TemplateError:  # valid when it was saved; a credential may be gone
            continue
    return empty


def version_of(postback: Postback, attempt: DeliveryAttempt | None) -> int:
    """Return the version of the rule that made a request; without one, that would make it."""
    if attempt is not None:
        return attempt.rule_version or postback.rule_version
    if postback.status == PostbackStatus.PENDING:
        return postback.rule.version
    return postback.rule_version


def last_attempts(postbacks: Sequence[Postback]) -> dict[int, DeliveryAttempt]:
    """Return each postback's last attempt, by the postback's row id."""
    if not postbacks:
        return {}
    moments = [postback.event_received_at for postback in postbacks]
    attempts = (
        DeliveryAttempt.objects.filter(
            postback_id__in=[postback.pk for postback in postbacks],
            event_received_at__range=(min(moments), max(moments)),
        )
        .exclude(kind=AttemptKind.TEST)
        .order_by("postback_id", "-number", "-id")
        .distinct("postback_id")
    )
    return {attempt.postback_id: attempt for attempt in attempts}


def decision_and_reason(
    postback: Postback, *, empty: EmptyMacros, last: DeliveryAttempt | None
) -> tuple[RuleDecision, Refusal]:
    """Return a postback's state and why; for one that was tried, with its first empty macros."""
    decision, reason = _state_of(postback, last)
    if postback.attempts_made:
        reason = Refusal(reason.code, " ".join([reason.detail, *_first_details(empty)]))
    return decision, reason


def waiting_words(postback: Postback) -> WaitingWords | None:
    """Return why nothing sends a pending postback now, None if it is sent when it is due.

    The postback has been given its reason by `breakers.mark_waiting`.
    """
    if postback.status != PostbackStatus.PENDING:
        return None
    status = postback.rule.status
    if postback.reason == BREAKER_OPEN:
        return WaitingWords(
            "Waiting",
            "It waits for its host, which fails",
            "It waits for its host, which fails again and again, until one request is answered. "
            "Waiting uses up no try.",
        )
    if postback.reason == HeldReason.RULE_SUSPENDED:
        is_on = status == RuleStatus.ACTIVE
        to_do = "Send" if is_on else "Correct the rule and switch it on, then send"
        return WaitingWords(
            "Held",
            "Its rule was suspended",
            f"Held, since its rule was suspended. {to_do} or drop what the rule holds on its "
            "page; after 7 days it is skipped.",
        )
    if postback.reason == HeldReason.RULE_OFF:
        if status == RuleStatus.ACTIVE:
            return WaitingWords("Waiting", "Its rule was off", "Its rule was off. It is sent soon.")
        state = RuleStatus(status).label.lower()
        detail = f"Its rule is off ({state}). It waits until the rule is on."
        return WaitingWords("Waiting", "Its rule is off", detail)
    if postback.reason == SkipReason.RULE_ARCHIVED:
        detail = "Its rule was archived. It is about to be skipped."
        return WaitingWords("Waiting", "Its rule was archived", detail)
    return None


def skip_reason_sentence(reason: str) -> str:
    labels = {str(value): str(label) for value, label in SkipReason.choices}
    return f"{labels.get(reason, 'The rule says so')}."


def last_answer(attempt: DeliveryAttempt | None, reason: str) -> str:
    """Return the last answer in a sentence; "" if nothing is known of it.

    `reason` is the postback's, for attempts that are no longer stored.
    """
    if attempt is None:
        return f"The last result: {wording.lower_first(wording.answer(reason))}." if reason else ""
    if attempt.status_code is not None:
        words = wording.answer(attempt.error, attempt.status_code)
        if attempt.error.startswith("http_") or not attempt.error:
            words = f"HTTP {attempt.status_code}"
        # A forgotten device's requests and answers are emptied: then nothing is known of the body.
        quote = _quoted(attempt.response) if attempt.request else ""
        return f"The last answer was {words}{quote}."
    detail = attempt.detail.rstrip(".")
    words = wording.lower_first(wording.answer(attempt.error))
    if attempt.error in _WITHOUT_ANSWER:
        return f"The last try got no answer: {words}{f' ({detail})' if detail else ''}."
    return f"The last try sent nothing: {wording.lower_first(detail) or words}."


def _state_of(postback: Postback, last: DeliveryAttempt | None) -> tuple[RuleDecision, Refusal]:
    tries = wording.times(postback.attempts_made)
    if postback.status == PostbackStatus.DELIVERED:
        return RuleDecision.SENT, Refusal("delivered", "The partner took it.")
    if postback.status == PostbackStatus.SKIPPED:
        return RuleDecision.SKIPPED, Refusal(postback.reason, skip_reason_sentence(postback.reason))
    if postback.status == PostbackStatus.FAILED:
        detail = f"Given up after {tries}. {last_answer(last, postback.reason)}".strip()
        return RuleDecision.FAILED, Refusal(postback.reason or "failed", detail)
    if words := waiting_words(postback):
        waits_for_rule = postback.reason != BREAKER_OPEN
        decision = RuleDecision.HELD if waits_for_rule else RuleDecision.PENDING
        return decision, Refusal(postback.reason, words.detail)
    if not postback.attempts_made:
        return RuleDecision.PENDING, Refusal("due", _first_try(postback))
    detail = f"It is tried again after {tries}. {last_answer(last, '')}".strip()
    return RuleDecision.PENDING, Refusal("due", detail)


def _first_try(postback: Postback) -> str:
    """Say when a postback that was never tried is sent, and what it waits for."""
    due, per_second = postback.next_attempt_at, postback.rule.rate_limit_per_second
    if due is not None and due > timezone.now() + _SOON:
        moment = wording.format_moment(timezone.localtime(due), to_seconds=True)
        return f"It waits for the rule's delay, and is sent at {moment}."
    if per_second:
        return f"It is about to be sent: the rule sends at most {per_second:g} a second."
    return "It is about to be sent."


def _first_details(empty: EmptyMacros) -> Iterator[str]:
    yield from (macro.detail for macro in empty[:_MOST_IN_A_SENTENCE])
    more = len(empty) - _MOST_IN_A_SENTENCE
    if more > 0:
        yield f"{more} more {'macro has' if more == 1 else 'macros have'} no value."


def _quoted(response: object) -> str:
    """Return the beginning of an answer's body, which was masked when it was stored."""
    body = response.get("body") if isinstance(response, Mapping) else None
    text = " ".join(str(body or "").split())
    if not text:
        return ", without a body"
    is_long = len(text) > _LONGEST_QUOTE
    return f", “{text[:_LONGEST_QUOTE]}{'…' if is_long else ''}”"
