"""Everything about one postback: its row, its attempts, and its state in words."""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property

from django.urls import reverse
from django.utils import timezone

from apps_registry.admin_base.theme import Tone
from postbacks.admin.logs.attempt_timings import AttemptTimings, timings_view
from postbacks.admin.logs.http_exchange import (
    RequestView,
    ResponseView,
    request_view,
    response_view,
)
from postbacks.callbacks.credits import KnownCredit, load_credit_versions
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import values_for
from postbacks.callbacks.macros import Rates, TemplateError, Value
from postbacks.callbacks.rendering import facts_with_credit
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.delivery.http.response import TransportFailure
from postbacks.delivery.outcome import Outcome
from postbacks.delivery.resend import resend_refusal
from postbacks.insights import wording
from postbacks.insights.request_differences import RequestDifference, request_differences
from postbacks.models import (
    CallbackRuleVersion,
    DeliveryAttempt,
    Postback,
    PostbackStatus,
    SkipReason,
)
from postbacks.models.stored import load_events
from postbacks.privacy.device_marks import marks_of_postbacks
from postbacks.rulebook.breakers import mark_waiting
from postbacks.rulebook.postback_reasons import (
    EmptyMacros,
    empty_macros_by_request,
    last_answer,
    version_of,
    waiting_words,
)
from postbacks.values.events import StoredEvent

_USUAL_TIMEOUT = 15
_SOON = timedelta(seconds=30)
_SHOWN_ATTEMPTS = 50
_NOT_SENT = frozenset({TransportFailure.BLOCKED.value, TransportFailure.INVALID_REQUEST.value})
_TONES: Mapping[str, Tone] = {
    PostbackStatus.PENDING: Tone.INFO,
    PostbackStatus.DELIVERED: Tone.GOOD,
    PostbackStatus.FAILED: Tone.BAD,
    PostbackStatus.SKIPPED: Tone.STILL,
}

OUTCOMES: Mapping[str, tuple[str, Tone]] = {
    Outcome.DELIVERED: ("Delivered", Tone.GOOD),
    Outcome.RETRY: ("Tried again later", Tone.BUSY),
    Outcome.FAILED: ("Failed", Tone.BAD),
    Outcome.INTERRUPTED: ("May have been sent", Tone.BUSY),
}


@dataclass(frozen=True, slots=True)
class StatusBadge:
    """A state in a word or two, its tone, and the reason for it."""

    text: str
    tone: Tone
    note: str = ""


@dataclass(frozen=True)
class PostbackRow:
    """A postback as one row of a list.

    `changed_since` says how today's rule would decide otherwise, where a page asks for it.
    """

    postback: Postback
    badge: StatusBadge
    delivered_after: str
    changed_since: str = ""
    test_device: str = ""

    @classmethod
    def of(cls, postback: Postback, test_device: str = "") -> "PostbackRow":
        return cls(
            postback, status_badge(postback), delivered_after(postback), test_device=test_device
        )

    @cached_property
    def resend_refusal(self) -> str:
        return resend_refusal(self.postback)

    @property
    def is_decided_again(self) -> bool:
        """Return whether a resend has the rule of now decide it, since it was skipped."""
        return self.postback.status == PostbackStatus.SKIPPED

    @property
    def is_of_other_version(self) -> bool:
        """Return whether another version of its rule decided it than the current one."""
        return self.postback.rule_version != self.postback.rule.version


@dataclass(frozen=True, slots=True)
class AttemptView:
    """One try with its request and response; `share` is its percentage of `timeout_seconds`.

    `differences` are those of its request from the try before. `rule_version` is the version that
    it used.
    """

    attempt: DeliveryAttempt
    badge: StatusBadge
    error: str
    duration: str
    share: int
    request: RequestView | None
    response: ResponseView | None
    timeout_seconds: int
    timings: AttemptTimings | None = None
    rule_version: int | None = None
    differences: Sequence[RequestDifference] = ()
    empty_macros: EmptyMacros = ()

    @property
    def is_sent(self) -> bool:
        return self.attempt.error not in _NOT_SENT

    @property
    def answer(self) -> str:
        """Return the status that came back, or that none came, or that nothing went out."""
        if self.attempt.status_code is not None:
            return f"HTTP {self.attempt.status_code}"
        return "No answer" if self.is_sent else "Nothing sent"


@dataclass(frozen=True, slots=True)
class PostbackDetail:
    """A postback with its tries, newest first.

    `missing` names the macros for lack of which it was skipped, empty if it was not. Each try has
    its own `empty_macros`; those of the postback are of the request that no try has made.
    """

    row: PostbackRow
    sentence: str
    missing: str
    next_try: str
    next_at: datetime | None
    attempts: Sequence[AttemptView]
    hidden_attempts: int
    empty_macros: EmptyMacros = ()

    @property
    def postback(self) -> Postback:
        return self.row.postback

    @property
    def is_moving(self) -> bool:
        """Return whether the next try is so near that the page should wait for it."""
        return self.next_at is not None and self.next_at <= timezone.now() + _SOON

    @property
    def resend_address(self) -> str:
        return reverse("admin:postbacks_postback_resend", args=[self.postback.pk])


def postback_detail(postback: Postback) -> PostbackDetail:
    """Read a postback's tries, all of which lie in the partition of its event's day."""
    is_incomplete = postback.reason == SkipReason.MISSING_MACRO
    attempts = list(
        postback.attempts.filter(event_received_at=postback.event_received_at).order_by(
            "-number", "-id"
        )[: _SHOWN_ATTEMPTS + 1]
    )
    mark_waiting([postback])
    older = [*attempts[1:], None]  # of each the one before it
    attempts = attempts[:_SHOWN_ATTEMPTS]
    requests: Sequence[DeliveryAttempt | None] = attempts or [None]  # None: the one to come
    empty = empty_macros_by_request(
        (postback, version) for version in {version_of(postback, made) for made in requests}
    )
    timeouts = _timeouts(postback, {*(a.rule_version for a in attempts), postback.rule_version})
    delivered = [attempt.number for attempt in attempts if attempt.outcome == Outcome.DELIVERED]
    return PostbackDetail(
        row=PostbackRow.of(
            postback, marks_of_postbacks([postback]).get(postback.event_id or 0, "")
        ),
        sentence=sentence_of(
            postback, min(delivered, default=None), attempts[0] if attempts else None
        ),
        missing=_missing_macros(postback) if is_incomplete else "",
        next_try=next_try(postback),
        next_at=postback.next_attempt_at,
        attempts=[
            replace(
                attempt_view(
                    attempt,
                    timeouts.get(version, _USUAL_TIMEOUT),
                    empty.get((postback.pk, version_of(postback, attempt)), ()),
                ),
                rule_version=version,
                differences=request_differences(
                    before.request if before else None, attempt.request
                ),
            )
            for attempt, before in zip(attempts, older, strict=False)
            for version in [attempt.rule_version or postback.rule_version]
        ],
        hidden_attempts=max(postback.attempts_made - len(attempts), 0),
        empty_macros=() if attempts else empty.get((postback.pk, version_of(postback, None)), ()),
    )


def attempt_view(
    attempt: DeliveryAttempt, timeout: int = _USUAL_TIMEOUT, empty_macros: EmptyMacros = ()
) -> AttemptView:
    """Return one try; `timeout` is the number of seconds that the partner had."""
    return AttemptView(
        attempt=attempt,
        badge=outcome_badge(attempt),
        error=error_text(attempt),
        duration=wording.seconds(attempt.duration_ms / 1000) if attempt.duration_ms else "",
        share=min(100, max(1, round(attempt.duration_ms / (timeout * 10)))),
        request=request_view(attempt.request),
        response=response_view(attempt.response),
        empty_macros=empty_macros if attempt.request else (),
        timeout_seconds=timeout,
        timings=timings_view(attempt),
    )


def logged_attempt_view(attempt: DeliveryAttempt) -> AttemptView:
    """Return one try of a stored postback, with why macros of its request had no value."""
    postback = Postback.objects.select_related("rule").get(
        pk=attempt.postback_id, event_received_at=attempt.event_received_at
    )
    version = version_of(postback, attempt)
    empty = empty_macros_by_request([(postback, version)])
    return attempt_view(attempt, empty_macros=empty.get((postback.pk, version), ()))


def status_badge(postback: Postback) -> StatusBadge:
    if postback.status == PostbackStatus.PENDING:
        return _pending(postback)
    tone = _TONES.get(postback.status, Tone.STILL)
    return StatusBadge(postback.get_status_display(), tone, _note(postback))


def _pending(postback: Postback) -> StatusBadge:
    if words := waiting_words(postback):
        return StatusBadge(words.label, Tone.BUSY, words.note)
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
    if left < 1 and waiting_words(postback):
        return "Due since"
    return f"Next try in {wording.seconds(left)}" if left >= 1 else "The next try is due now"


def delivered_after(postback: Postback) -> str:
    """Return how long after the event's arrival a postback was delivered, "" if it was not."""
    if postback.delivered_at is None:
        return ""
    return wording.seconds((postback.delivered_at - postback.event_received_at).total_seconds())


def outcome_badge(attempt: DeliveryAttempt) -> StatusBadge:
    text, tone = OUTCOMES.get(attempt.outcome, (attempt.outcome, Tone.STILL))
    return StatusBadge(text, tone)


def error_text(attempt: DeliveryAttempt) -> str:
    return wording.answer(attempt.error, attempt.status_code) if attempt.error else ""


def sentence_of(
    postback: Postback, delivered_by: int | None, last: DeliveryAttempt | None = None
) -> str:
    """Return the state in a sentence; `delivered_by` is the number of the successful try."""
    tries = postback.attempts_made
    if postback.test:
        return _test_sentence(postback)
    if postback.status == PostbackStatus.SKIPPED:
        return f"Skipped, and not sent. {_note(postback) or 'The rule says so'}."
    if postback.status == PostbackStatus.DELIVERED:
        by = f" at the {_ordinal(delivered_by)} try" if delivered_by else ""
        again = " It is being sent again." if postback.next_attempt_at else ""
        return f"Delivered{by}, {delivered_after(postback)} after the event arrived.{again}"
    if postback.status == PostbackStatus.FAILED:
        return (
            f"Given up after {wording.times(tries)}. {last_answer(last, postback.reason)}".strip()
        )
    if words := waiting_words(postback):
        return words.detail
    if not tries:
        return "Not sent yet."
    return f"Not delivered yet after {wording.times(tries)}. {last_answer(last, '')}".strip()


def _test_sentence(postback: Postback) -> str:
    if postback.status == PostbackStatus.DELIVERED:
        return "A test send, which counts nowhere. The partner took it."
    if postback.status == PostbackStatus.PENDING:
        return "A test send, which counts nowhere. It waits for the worker or the partner's answer."
    reason = (
        wording.lower_first(wording.answer(postback.reason)) if postback.reason else "no delivery"
    )
    return f"A test send, which counts nowhere. The partner did not take it: {reason}."


def _ordinal(number: int) -> str:
    if number % 100 in (11, 12, 13):
        return f"{number}th"
    return f"{number}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th') }"


def _missing_macros(postback: Postback) -> str:
    """Return a sentence that names the required macros without a value in the postback's event.

    Where the event is gone, it names all that the rule requires; empty if the rule is gone too.
    """
    rules = load_rule_versions([(postback.rule_id, postback.rule_version)])  # and the current one
    key = postback.event_id
    events = load_events([(key, postback.event_received_at)] if key is not None else [])
    required: list[str] = []
    # The version that decided it skipped it, or a later one before a try: whichever lacks a value.
    for rule in sorted(rules.values(), key=lambda rule: rule.version != postback.rule_version):
        try:
            missing = _missing(rule, events[0], postback) if events else []
            required = required or [
                expression.names[0]
                for expression in rule.request.expressions
                if expression.required and expression.names
            ]
        except TemplateError:
            continue
        if missing:
            verb = "has" if len(missing) == 1 else "have"
            return f"{_macro_list(missing)} {verb} no value in this event."
    return f"The rule requires {_macro_list(list(dict.fromkeys(required)))}." if required else ""


def _values(
    rule: CompiledRule, event: StoredEvent, postback: Postback, rates: Rates
) -> Mapping[str, Value]:
    version = (postback.install_id or 0, postback.attribution_version)
    credit = load_credit_versions([version]).get(version, KnownCredit())
    return values_for(rule, facts_with_credit(rule, event, credit, postback), rates)


def _missing(rule: CompiledRule, event: StoredEvent, postback: Postback) -> list[str]:
    """Ask for one missing macro after the other, pretending that those before had a value."""
    moment = event.event_time
    rates = load_rates([moment]).of(moment, known_at=postback.created_at)
    values, pretended = dict(_values(rule, event, postback, rates)), dict[str, Value]()
    next_missing = rule.request.missing_required
    while (name := next_missing({**values, **pretended}, rates=rates)) and name not in pretended:
        pretended[name] = "1"
    return list(pretended)


def _macro_list(names: Sequence[str]) -> str:
    *others, last = ("{{" + name + "}}" for name in names)
    return f"{', '.join(others)} and {last}" if others else last


def _timeouts(postback: Postback, versions: Set[int | None]) -> dict[int, int]:
    """Return how many seconds the partner had, by the version of the rule."""
    rows = CallbackRuleVersion.objects.filter(
        rule_id=postback.rule_id, number__in=[number for number in versions if number is not None]
    )
    return {
        row.number: timeout
        for row in rows
        if isinstance(row.definition, dict)
        and isinstance(timeout := row.definition.get("timeout_seconds"), int)
        and timeout > 0
    }
