"""Everything about one postback: what its row opens to and what its page shows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone

from postbacks.admin.logs.http_exchange import (
    ShownAnswer,
    ShownRequest,
    shown_answer,
    shown_request,
)
from postbacks.admin.postback_missing import missing_words
from postbacks.admin.postback_words import (
    Standing,
    delivered_after,
    error_of,
    next_try,
    outcome_of,
    sentence_of,
    standing_of,
)
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.resend import MOST_ATTEMPTS
from postbacks.insights import wording
from postbacks.models import (
    CallbackRuleVersion,
    DeliveryAttempt,
    Postback,
    PostbackStatus,
    RuleStatus,
    SkipReason,
)

_USUAL_TIMEOUT = 15
_SOON = timedelta(seconds=30)
_SHOWN_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class PostbackRow:
    """A postback as one line of a list."""

    postback: Postback
    standing: Standing
    delivered_after: str
    why_not_resend: str

    @classmethod
    def of(cls, postback: Postback) -> "PostbackRow":
        """Return the line of a postback."""
        return cls(
            postback, standing_of(postback), delivered_after(postback), why_not_resend(postback)
        )


@dataclass(frozen=True, slots=True)
class AttemptShown:
    """One try: how it went, how long it took of the time it had, what was said."""

    attempt: DeliveryAttempt
    standing: Standing
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
        """Return the postback itself."""
        return self.row.postback

    @property
    def is_moving(self) -> bool:
        """Tell whether something is about to happen that is worth waiting for."""
        return self.next_at is not None and self.next_at <= timezone.now() + _SOON

    @property
    def resend_address(self) -> str:
        """Return where the question is asked whether to send it again."""
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
        attempts=[shown_attempt(attempt, timeout) for attempt in attempts],
        hidden_attempts=max(postback.attempts_made - len(attempts), 0),
    )


def why_not_resend(postback: Postback) -> str:
    """Return why a postback can't be sent again, empty if it can.

    It only spares people a click: `resend` decides.
    """
    if postback.test:
        return "It was a test send; send a new test from its rule."
    if postback.status == PostbackStatus.SKIPPED:
        return "It was skipped by its rule, so there is nothing to send again."
    if postback.rule.status == RuleStatus.SUSPENDED:
        return (
            "Its rule was suspended after the partner answered 410 Gone; switch the rule on first."
        )
    if postback.rule.status != RuleStatus.ACTIVE:
        return "Its rule is not active; switch the rule on first."
    if postback.attempts_made >= MOST_ATTEMPTS:
        return f"It was tried {MOST_ATTEMPTS} times; that is enough."
    return ""


def shown_attempt(attempt: DeliveryAttempt, timeout: int = _USUAL_TIMEOUT) -> AttemptShown:
    """Return one try as people read it; `timeout` is what the partner had, in seconds."""
    return AttemptShown(
        attempt=attempt,
        standing=outcome_of(attempt),
        error=error_of(attempt),
        duration=wording.seconds(attempt.duration_ms / 1000) if attempt.duration_ms else "",
        share=min(100, max(1, round(attempt.duration_ms / (timeout * 10)))),
        request=shown_request(attempt.request),
        answer=shown_answer(attempt.response),
    )


def _timeout_of(postback: Postback) -> int:
    version = CallbackRuleVersion.objects.filter(
        rule_id=postback.rule_id, number=postback.rule_version
    ).first()
    definition = version.definition if version else None
    given = definition.get("timeout_seconds") if isinstance(definition, dict) else None
    return given if isinstance(given, int) and given > 0 else _USUAL_TIMEOUT
