"""What became of postbacks, in sentences: the last answer, and why macros had no value."""

from collections.abc import Iterable, Mapping, Sequence

from postbacks.callbacks.credits import KnownCredit, load_credit_versions
from postbacks.callbacks.currency.stored_rates import load_rates
from postbacks.callbacks.disclosure import empty_macros_of
from postbacks.callbacks.empty_macros import EmptyMacro
from postbacks.callbacks.macros import TemplateError
from postbacks.callbacks.rendering import facts_with_credit
from postbacks.callbacks.rules.compiled import load_rule_versions
from postbacks.insights import wording
from postbacks.models import AttemptKind, DeliveryAttempt, Postback, PostbackStatus
from postbacks.models.events import ERASED
from postbacks.models.stored import load_events

_LONGEST_QUOTE = 120

EmptyMacros = tuple[EmptyMacro, ...]
PostbackVersion = tuple[Postback, int]  # with the number of its rule's version


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
        return f"The last answer was {words}{_quoted(attempt.response)}."
    detail = attempt.detail.rstrip(".")
    if not attempt.request:
        words = wording.lower_first(detail or wording.answer(attempt.error))
        return f"The last try sent nothing: {words}."
    words = wording.lower_first(wording.answer(attempt.error))
    return f"The last try got no answer: {words}{f' ({detail})' if detail else ''}."


def _quoted(response: object) -> str:
    """Return the beginning of an answer's body, which was masked when it was stored."""
    body = response.get("body") if isinstance(response, Mapping) else None
    text = " ".join(str(body or "").split())
    if not text:
        return ", without a body"
    is_long = len(text) > _LONGEST_QUOTE
    return f", “{text[:_LONGEST_QUOTE]}{'…' if is_long else ''}”"
