"""Judges an answer: delivered, worth another try, or failed for good."""

from dataclasses import dataclass
from enum import StrEnum

from postbacks.delivery.http.response import TransportFailure
from postbacks.delivery.success import (
    AnswerBody,
    AnswerMask,
    MarkedAnswer,
    SuccessRule,
    parse_success,
)

__all__ = ["GONE", "AttemptVerdict", "Outcome", "SuccessRule", "judge", "parse_success"]

_RETRIED_STATUSES = frozenset({408, 425, 429})
GONE = 410
# Neither the destination's address nor the request itself gets better by waiting.
_FINAL_FAILURES = frozenset(
    {TransportFailure.BLOCKED.value, TransportFailure.INVALID_REQUEST.value}
)


class Outcome(StrEnum):
    """The result of one attempt."""

    DELIVERED = "delivered"
    RETRY = "retry"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # its worker died meanwhile: it may have been sent


@dataclass(slots=True)
class AttemptVerdict:
    """The judgment of an attempt: what comes next, and why, for the log.

    `error` is a short code ("http_503", "timeout", "redirect", "body_says_no"), None on delivery;
    `detail` is a sentence for people; `suspend_rule` is set when the partner is gone for good.
    """

    outcome: Outcome
    error: str | None = None
    detail: str = ""
    suspend_rule: bool = False


def judge(
    *,
    status_code: int | None,
    body: bytes,
    failure: str | None,
    detail: str,
    success: SuccessRule,
    masker: AnswerMask | None = None,
    is_cut: bool = False,
) -> AttemptVerdict:
    """Judge an attempt by the status, body, failure and detail of its reply.

    `masker` hides the credentials that the partner may echo, from the conditions too; `is_cut`
    says that there was more of the body than was read.

    A status that can't mean success decides alone. A failure after it, such as a body that never
    ended, matters only where the body could still mean success.
    """
    if status_code is None:
        return _without_answer(failure or TransportFailure.PROTOCOL.value, detail)
    if failure is None and success.allows_by_status(status_code):
        return AttemptVerdict(Outcome.DELIVERED)
    answer = AnswerBody(body, masker, is_cut)
    if not success.allows_status(status_code):
        return _marked(status_code, answer, success) or _unsuccessful(status_code)
    if failure is not None:
        return _without_answer(failure, detail)
    if verdict := _marked(status_code, answer, success):
        return verdict
    if not success.allows_body(answer):
        return AttemptVerdict(
            Outcome.RETRY,
            "body_says_no",
            f"The partner answered {status_code}, but its body doesn't say that it took the data.",
        )
    return AttemptVerdict(Outcome.DELIVERED)


def _marked(status_code: int, body: AnswerBody, success: SuccessRule) -> AttemptVerdict | None:
    """Judge an answer in which the rule names a “no”; 410 and redirects need no reading."""
    if status_code == GONE or 300 <= status_code < 400:
        return None
    marked = success.marked(body)
    if marked is None:
        return None
    meaning, found = marked
    answered = f"The partner answered {status_code} and said no"
    if meaning is MarkedAnswer.FINAL:
        return AttemptVerdict(Outcome.FAILED, "body_is_final", f"{answered} for good: {found}.")
    return AttemptVerdict(Outcome.RETRY, "body_says_retry", f"{answered} for now: {found}.")


def _without_answer(failure: str, detail: str) -> AttemptVerdict:
    outcome = Outcome.FAILED if failure in _FINAL_FAILURES else Outcome.RETRY
    return AttemptVerdict(outcome, failure, detail)


def _unsuccessful(status_code: int) -> AttemptVerdict:
    error, detail = f"http_{status_code}", f"The partner answered {status_code}."
    if 300 <= status_code < 400:
        return AttemptVerdict(Outcome.FAILED, "redirect", f"{detail} Redirects are not followed.")
    if status_code == GONE:
        return AttemptVerdict(
            Outcome.FAILED, error, f"{detail} It is gone for good.", suspend_rule=True
        )
    if 400 <= status_code < 500 and status_code not in _RETRIED_STATUSES:
        return AttemptVerdict(Outcome.FAILED, error, detail)
    # 408, 425, 429, 5xx, and any 2xx that the rule does not accept.
    return AttemptVerdict(Outcome.RETRY, error, detail)
