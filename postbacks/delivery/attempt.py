"""⑦ Makes one attempt: adds our headers, sends, judges the answer, and plans the next try.

Requests are signed as Standard Webhooks 1.0 describes, so that receivers can verify the sender:
HMAC-SHA256 of `id.timestamp.body`. The id is the postback's, the same over all attempts; the time
is the attempt's own, so that a receiver can refuse old requests.
"""

import base64
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec
from django.conf import settings

from apps_registry.crypto.keys import SIGNING_SECRET
from postbacks import __version__
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.http.address_guard import told_to_authors
from postbacks.delivery.http.response import INTERNAL_FAILURE, Reply, TransportFailure
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.outcome import AttemptVerdict, Outcome, SuccessRule, judge, parse_success
from postbacks.delivery.redaction import (
    fingerprint_of,
    masker_of,
    redacted_request,
    redacted_response,
    redacted_text,
    withheld_response,
)
from postbacks.delivery.retry import next_delay
from postbacks.infrastructure.database import database_clock
from postbacks.models import PostbackStatus
from postbacks.values.outgoing_request import MASK, Lease, OutgoingRequest, RenderedPostback

USER_AGENT = f"Postbacks/{__version__}"

_NO_REPLY = Reply()
_PROXY_DELAYS = (60,)  # seconds
_BODY_NOT_JUDGED = "Only the status counted: the request sends a piece of a credential."
_MOST_SUCCESS_RULES = 4096
_LARGE_SUCCESS_RULE = 4096  # bytes as JSON; most have less than a hundred
_success_rules: dict[int, tuple[Mapping[str, object], SuccessRule]] = {}
_STATUS_AFTER = {
    Outcome.DELIVERED: PostbackStatus.DELIVERED,
    Outcome.RETRY: PostbackStatus.PENDING,
    Outcome.FAILED: PostbackStatus.FAILED,
}


@dataclass(slots=True)  # not frozen: one is made for each attempt, as of all that it consists of
class Attempt:
    """An attempt that has begun: the request to send, within so many seconds.

    `ours` are the headers that we add, as they are logged.
    """

    lease: Lease
    rendered: RenderedPostback
    started_at: datetime
    request: OutgoingRequest
    timeout: float
    success: SuccessRule
    ours: Mapping[str, str]

    def result(self, reply: Reply) -> AttemptResult:
        """Judge the reply and plan the next try. Nothing is written here."""
        if reply.error is not None:
            reply = told_to_authors(reply, self.request.url)
        success, rendered = self.success, self.rendered
        withholds = _withholds_answer(rendered)
        masker = masker_of(rendered.secrets) if rendered.secrets else None
        verdict = judge(
            status_code=reply.status_code,
            body=reply.body,
            failure=reply.error,
            detail=reply.detail,
            success=success.by_status if withholds else success,
            masker=masker if masker is not None and masker.forms else None,
            is_cut=reply.truncated,
        )
        if withholds and success.reads_body:
            verdict = replace(verdict, detail=f"{verdict.detail} {_BODY_NOT_JUDGED}".strip())
        return _result(
            self.lease,
            self.rendered,
            verdict,
            started_at=self.started_at,
            reply=reply,
            ours=self.ours,
        )


def begin(lease: Lease, rendered: RenderedPostback) -> Attempt | AttemptResult:
    """Return the attempt to make, or at once the result of one that can't be made."""
    started_at = database_clock.now()
    if rendered.rendering is None:
        verdict = AttemptVerdict(Outcome.FAILED, rendered.error, rendered.refusal)
        return _result(lease, rendered, verdict, started_at=started_at)
    try:
        success = _success_rule(rendered.success)
    except ValueError as error:
        verdict = AttemptVerdict(Outcome.FAILED, "success_rule", str(error))
        return _result(lease, rendered, verdict, started_at=started_at)
    request, redacted = rendered.rendering.request, rendered.rendering.redacted
    public_id = str(lease.postback.public_id)
    ours = redacted_ours = _our_headers(public_id, request)
    if rendered.signing:
        ours = ours | signature_headers(
            rendered.signing, message_id=public_id, at=started_at, body=request.body
        )
    if rendered.signing or redacted is not request:
        redacted_ours = _redacted_headers(public_id, rendered, redacted, started_at)
    return Attempt(
        lease,
        rendered,
        started_at,
        request=OutgoingRequest(
            request.method, request.url, {**request.headers, **ours}, request.body
        ),
        timeout=min(rendered.timeout_seconds, float(settings.HTTP_TOTAL_SECONDS)),
        success=success,
        ours=redacted_ours,
    )


def attempt(lease: Lease, rendered: RenderedPostback, transport: Transport) -> AttemptResult:
    """Send a claimed postback once, wait for the answer and return the result."""
    begun = begin(lease, rendered)
    if isinstance(begun, AttemptResult):
        return begun
    return begun.result(transport.send(begun.request, timeout=begun.timeout))


def internal_failure(lease: Lease, rendered: RenderedPostback) -> AttemptResult:
    """Return the result of an attempt that a mistake of ours broke: it is tried again."""
    verdict = AttemptVerdict(Outcome.RETRY, INTERNAL_FAILURE.error, INTERNAL_FAILURE.detail)
    bare = replace(rendered, rendering=None)
    return _result(lease, bare, verdict, started_at=database_clock.now())


def _success_rule(definition: Mapping[str, object]) -> SuccessRule:
    """Return what a version's definition says, read once: it is the same object each time."""
    key = id(definition)
    known, success = _success_rules.get(key, (None, SuccessRule()))
    if known is not definition:
        success = parse_success(definition)
        if len(msgspec.json.encode(definition)) > _LARGE_SUCCESS_RULE:
            return success  # thousands of these would fill the memory
        if len(_success_rules) >= _MOST_SUCCESS_RULES:
            _success_rules.clear()
        _success_rules[key] = definition, success
    return success


def _withholds_answer(rendered: RenderedPostback) -> bool:
    return rendered.rendering is not None and rendered.rendering.has_pieces


def _our_headers(public_id: str, request: OutgoingRequest) -> dict[str, str]:
    """Return our headers. A rule may replace only User-Agent, for example by the device's.

    Partners tell postbacks apart by the others.
    """
    if request.headers and any(name.lower() == "user-agent" for name in request.headers):
        return {"Idempotency-Key": public_id}
    return {"User-Agent": USER_AGENT, "Idempotency-Key": public_id}


def _redacted_headers(
    public_id: str, rendered: RenderedPostback, redacted: OutgoingRequest, started_at: datetime
) -> dict[str, str]:
    """Return our headers as people see them: the signature is never stored."""
    ours = _our_headers(public_id, redacted)
    if not rendered.signing:
        return ours
    return {**ours, **redacted_signature(public_id, at=started_at)}


def _result(
    lease: Lease,
    rendered: RenderedPostback,
    verdict: AttemptVerdict,
    *,
    started_at: datetime,
    reply: Reply = _NO_REPLY,
    ours: Mapping[str, str] | None = None,
) -> AttemptResult:
    postback = lease.postback
    number = postback.attempts_made + 1
    outcome, wait = verdict.outcome, None
    if outcome is not Outcome.DELIVERED:
        wait = _seconds_to_next(lease, rendered, outcome, reply)
        outcome = Outcome.FAILED if wait is None else outcome
    redacted = rendered.rendering.redacted if rendered.rendering else None
    fingerprint = fingerprint_of(redacted) if redacted and not rendered.varies else ""
    rule_version = rendered.rule_version or postback.rule_version
    first_fingerprint = postback.fingerprint_of(rule_version)
    if ours is None:
        public_id = str(postback.public_id)
        ours = _redacted_headers(public_id, rendered, redacted, started_at) if redacted else {}
    detail = _detail(verdict, first_fingerprint=first_fingerprint, fingerprint=fingerprint)
    return AttemptResult(
        organization_id=postback.organization_id,
        postback_id=postback.id,
        event_received_at=postback.event_received_at,
        rule_id=postback.rule_id,
        claim_id=lease.claim_id,
        number=number,
        rule_version=rule_version,
        kind=lease.kind,
        started_at=started_at,
        duration_ms=reply.duration_ms,
        timings=reply.timings,
        outcome=outcome,
        status=_STATUS_AFTER[outcome],
        status_code=reply.status_code,
        error=verdict.error or "",
        detail=redacted_text(detail, rendered.secrets) if detail else "",
        request=redacted_request(redacted, ours) if redacted else {},
        response=withheld_response(reply)
        if _withholds_answer(rendered)
        else redacted_response(reply, rendered.secrets),
        fingerprint=first_fingerprint or fingerprint,
        wait_seconds=wait,
        suspend_rule=verdict.suspend_rule,
        uses_up_try=reply.error is not TransportFailure.PROXY,
    )


def _seconds_to_next(
    lease: Lease, rendered: RenderedPostback, outcome: Outcome, reply: Reply
) -> float | None:
    """Return how long to wait for the next try, None if there is none."""
    public_id = lease.postback.public_id
    if reply.error is TransportFailure.PROXY:  # as often as it takes: no partner has been asked
        number = lease.postback.attempts_made + 1
        return next_delay(attempts_made=1, delays=_PROXY_DELAYS, seed=f"{public_id}:{number}")
    if outcome is not Outcome.RETRY:
        return None
    return next_delay(
        attempts_made=lease.tries + 1,
        delays=rendered.retry_delays,
        seed=str(public_id),
        retry_after=reply.retry_after,
    )


def _detail(verdict: AttemptVerdict, *, first_fingerprint: str, fingerprint: str) -> str:
    if first_fingerprint and fingerprint and first_fingerprint != fingerprint:
        remark = "The request differs from the first one by the same version of the rule."
        return f"{verdict.detail} {remark}".strip()
    return verdict.detail


def signature_headers(
    secrets: Sequence[str], *, message_id: str, at: datetime, body: bytes | None
) -> dict[str, str]:
    """Return the headers `webhook-…`, with a signature for each secret; none without a secret."""
    if not secrets:
        return {}
    timestamp = str(int(at.timestamp()))
    signed = f"{message_id}.{timestamp}.".encode() + (body or b"")
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def redacted_signature(message_id: str, *, at: datetime) -> dict[str, str]:
    """Return the headers `webhook-…` as they are logged."""
    timestamp = str(int(at.timestamp()))
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{MASK}",
    }


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(SIGNING_SECRET))
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
