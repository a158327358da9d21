"""⑧ Counts logged attempts for `/metrics`, and writes a line for each where that is asked for."""

import logging
from collections import Counter as Tally
from collections.abc import Mapping, Sequence
from functools import lru_cache
from uuid import UUID

from django.conf import settings

from apps_registry.models import Organization
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.http.response import TransportFailure
from postbacks.delivery.outcome import Outcome
from postbacks.infrastructure.metrics import Counter, Histogram
from postbacks.models import AttemptKind
from postbacks.values.outgoing_request import MASK, Lease

logger = logging.getLogger(__name__)

_LABELS = ("kind", "outcome", "error")
# The organization is named only where the operator asks for it.
ATTEMPTS = Counter(
    "postbacks_attempts",
    "Attempts to deliver a postback, by their outcome and the class of their error.",
    (*_LABELS, "organization") if settings.METRICS_BY_ORGANIZATION else _LABELS,
)
DELIVERY_SECONDS = Histogram(
    "postbacks_delivery_seconds",
    "Seconds from an event's arrival until a partner took its postback, retries and delays of"
    " rules included; without tests, resends and replays.",
    (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 3_600, 21_600, 86_400),
)
_ERRORS = frozenset(
    {
        *(failure.value for failure in TransportFailure),
        *("body_says_no", "body_is_final", "body_says_retry", "redirect", "success_rule"),
    }
)


def report_attempts(made: Sequence[tuple[Lease, AttemptResult]]) -> None:
    """Count attempts that have just been logged."""
    if not made:
        return
    _count([(r.organization_id, r.kind, r.outcome, error_class(r.error)) for _, r in made])
    delivered, auto = Outcome.DELIVERED, AttemptKind.AUTO  # slow to look up
    waits = [
        (result.started_at - result.event_received_at).total_seconds() + result.duration_ms / 1000
        for _, result in made
        if result.outcome == delivered and result.kind == auto
    ]
    if waits:
        DELIVERY_SECONDS.observe(waits)
    if logger.isEnabledFor(logging.INFO):
        _write_lines(made)


def _write_lines(made: Sequence[tuple[Lease, AttemptResult]]) -> None:
    """Write one wide line for each attempt, without anything that the event or partner said."""
    names = organization_ids({result.organization_id for _, result in made})
    for lease, result in made:
        logger.info(
            "Attempt %d of postback %s: %s",
            result.number,
            lease.postback.public_id,
            str(result.outcome),
            extra={
                "postback": str(lease.postback.public_id),
                "organization": str(names.get(result.organization_id, "")),
                "rule_id": result.rule_id,
                "attempt": result.number,
                "kind": str(result.kind),
                "outcome": str(result.outcome),
                "status_code": result.status_code,
                "error_code": str(result.error),
                "duration_ms": result.duration_ms,
                "host": _shown_host(lease, result),
            },
        )


def _shown_host(lease: Lease, result: AttemptResult) -> str:
    """Return the host and port, masked where the redacted request has a mask in their place."""
    authority = str(result.request.get("url", "")).partition("://")[2].partition("/")[0]
    return lease.host if authority and MASK not in authority else MASK


def report_interrupted(claims: Sequence[tuple[int, str]]) -> None:
    """Count attempts of dead pumps, given by their organizations' ids and their kinds."""
    _count([(organization, kind, Outcome.INTERRUPTED, "") for organization, kind in claims])


def start_at_zero() -> None:
    """Make the usual series known, so that the first attempt is an increase."""
    if not settings.METRICS_BY_ORGANIZATION:
        for outcome in Outcome:
            ATTEMPTS.add((AttemptKind.AUTO.value, outcome.value, ""), 0)
    DELIVERY_SECONDS.observe(())


@lru_cache(maxsize=2_048)
def error_class(error: str) -> str:
    """Return an error's code as one of about twenty words: partners can't invent labels."""
    if error in _ERRORS or not error:
        return error
    if error.startswith("http_"):
        return f"http_{error[5]}xx" if error[5:6] in "12345" and error[5:] else "http_other"
    return "not_sent"  # it could not be rendered, or a rule's reason


def _count(attempts: Sequence[tuple[int, str, str, str]]) -> None:
    if settings.METRICS_BY_ORGANIZATION:
        names = organization_ids({organization for organization, *_ in attempts})
        for (organization, kind, outcome, error), count in Tally(attempts).items():
            ATTEMPTS.add((kind, outcome, error, str(names.get(organization, ""))), count)
        return
    for labels, count in Tally(attempt[1:] for attempt in attempts).items():
        ATTEMPTS.add(labels, count)


_known: dict[int, UUID] = {}


def organization_ids(keys: set[int]) -> Mapping[int, UUID]:
    """Return the ids by which people know some organizations; each is looked up once."""
    if unknown := keys - _known.keys():
        rows = Organization.objects.filter(pk__in=unknown).values_list("pk", "public_id")
        _known.update(rows)
    return _known
