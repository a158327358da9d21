"""What a postback has come to, in words that a marketer understands."""

from dataclasses import dataclass

from django.utils import timezone

from apps_registry.admin_base.theme import Tone
from postbacks.delivery.attempt_log import RULE_OFF
from postbacks.insights import wording
from postbacks.models import DeliveryAttempt, Postback, PostbackStatus, SkipReason

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
class Standing:
    """A state in a word or two, how it looks, and why it is so."""

    text: str
    tone: Tone
    note: str = ""


def standing_of(postback: Postback) -> Standing:
    """Return where a postback stands."""
    if postback.status == PostbackStatus.PENDING:
        return _pending(postback)
    tone = _TONES.get(postback.status, Tone.STILL)
    return Standing(postback.get_status_display(), tone, _note(postback))


def _pending(postback: Postback) -> Standing:
    if postback.reason == RULE_OFF:
        return Standing("Waiting", Tone.BUSY, "Its rule is off")
    if postback.attempts_made:
        return Standing("Retrying", Tone.BUSY, next_try(postback))
    return Standing("Pending", Tone.INFO, next_try(postback))


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


def outcome_of(attempt: DeliveryAttempt) -> Standing:
    """Return what an attempt came to."""
    text, tone = _OUTCOMES.get(attempt.outcome, (attempt.outcome, Tone.STILL))
    return Standing(text, tone)


def error_of(attempt: DeliveryAttempt) -> str:
    """Return what went wrong with an attempt, empty if nothing did."""
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
    """Return a sentence's words for the middle of another; abbreviations stay as they are."""
    return text if text[:2].isupper() else text[:1].lower() + text[1:]
