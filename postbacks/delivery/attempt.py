"""⑦ Makes one attempt: adds our headers, sends, judges the answer, and plans the next try."""

from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache

import msgspec
from django.conf import settings

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
from postbacks.delivery.signing import redacted_signature, signature_headers
from postbacks.infrastructure.database import database_clock
from postbacks.models import PostbackStatus
from postbacks.values.outgoing_request import Lease, OutgoingRequest, RenderedPostback

USER_AGENT = f"Postbacks/{__version__}"

_NO_REPLY = Reply()
_PROXY_DELAYS = (60,)  # seconds
_BODY_NOT_JUDGED = "Only the status counted: the request sends a piece of a credential."
_STATUS_AFTER = {
    Outcome.DELIVERED: PostbackStatus.DELIVERED,
    Outcome.RETRY: PostbackStatus.PENDING,
    Outcome.FAILED: PostbackStatus.FAILED,
}


@dataclass(frozen=True, slots=True)
class Attempt:
    """An attempt that has begun: the request to send, within so many seconds."""

    lease: Lease
    rendered: RenderedPostback
    started_at: datetime
    request: OutgoingRequest
    timeout: float
    success: SuccessRule

    def result(self, reply: Reply) -> AttemptResult:
        """Judge the reply and plan the next try. Nothing is written here."""
        reply = told_to_authors(reply, self.request.url)
        success, rendered = self.success, self.rendered
        withholds = _withholds_answer(rendered)
        masker = masker_of(rendered.secrets)
        verdict = judge(
            status_code=reply.status_code,
            body=reply.body,
            failure=reply.error,
            detail=reply.detail,
            success=success.by_status if withholds else success,
            masker=masker if masker.forms else None,
            is_cut=reply.truncated,
        )
        if withholds and success.reads_body:
            verdict = replace(verdict, detail=f"{verdict.detail} {_BODY_NOT_JUDGED}".strip())
        return _result(self.lease, rendered, verdict, started_at=self.started_at, reply=reply)


def begin(lease: Lease, rendered: RenderedPostback) -> Attempt | AttemptResult:
    """Return the attempt to make, or at once the result of one that can't be made."""
    started_at = database_clock.now()
    if rendered.rendering is None:
        verdict = AttemptVerdict(Outcome.FAILED, rendered.error, rendered.refusal)
        return _result(lease, rendered, verdict, started_at=started_at)
    try:
        success = _success_rule(msgspec.json.encode(rendered.success))
    except ValueError as error:
        verdict = AttemptVerdict(Outcome.FAILED, "success_rule", str(error))
        return _result(lease, rendered, verdict, started_at=started_at)
    request = rendered.rendering.request
    signature = signature_headers(
        rendered.signing, message_id=str(lease.postback.public_id), at=started_at, body=request.body
    )
    ours = _our_headers(lease, request)
    return Attempt(
        lease,
        rendered,
        started_at,
        request=replace(request, headers={**request.headers, **ours, **signature}),
        timeout=min(rendered.timeout_seconds, float(settings.HTTP_TOTAL_SECONDS)),
        success=success,
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


@lru_cache(maxsize=4096)
def _success_rule(text: bytes) -> SuccessRule:
    return parse_success(msgspec.json.decode(text))


def _withholds_answer(rendered: RenderedPostback) -> bool:
    return rendered.rendering is not None and rendered.rendering.has_pieces


def _our_headers(lease: Lease, request: OutgoingRequest) -> dict[str, str]:
    """Return our headers. A rule may replace only User-Agent, for example by the device's.

    Partners tell postbacks apart by the others.
    """
    ours = {"Idempotency-Key": str(lease.postback.public_id)}
    if any(name.lower() == "user-agent" for name in request.headers):
        return ours
    return {"User-Agent": USER_AGENT, **ours}


def _redacted_headers(
    lease: Lease, rendered: RenderedPostback, redacted: OutgoingRequest, started_at: datetime
) -> dict[str, str]:
    """Return our headers as people see them: the signature is never stored."""
    ours = _our_headers(lease, redacted)
    if not rendered.signing:
        return ours
    return {**ours, **redacted_signature(str(lease.postback.public_id), at=started_at)}


def _result(
    lease: Lease,
    rendered: RenderedPostback,
    verdict: AttemptVerdict,
    *,
    started_at: datetime,
    reply: Reply = _NO_REPLY,
) -> AttemptResult:
    postback = lease.postback
    number = postback.attempts_made + 1
    wait = None
    is_our_proxy = reply.error is TransportFailure.PROXY
    if is_our_proxy:  # as often as it takes: no partner has been asked
        wait = next_delay(
            attempts_made=1, delays=_PROXY_DELAYS, seed=f"{postback.public_id}:{number}"
        )
    elif verdict.outcome is Outcome.RETRY:
        wait = next_delay(
            attempts_made=lease.tries + 1,
            delays=rendered.retry_delays,
            seed=str(postback.public_id),
            retry_after=reply.retry_after,
        )
    gave_up = verdict.outcome is Outcome.RETRY and wait is None
    redacted = rendered.rendering.redacted if rendered.rendering else None
    fingerprint = fingerprint_of(redacted) if redacted and not rendered.varies else ""
    rule_version = rendered.rule_version or postback.rule_version
    first_fingerprint = postback.fingerprint_of(rule_version)
    ours = _redacted_headers(lease, rendered, redacted, started_at) if redacted else {}
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
        outcome=Outcome.FAILED if gave_up else verdict.outcome,
        status=PostbackStatus.FAILED if gave_up else _STATUS_AFTER[verdict.outcome],
        status_code=reply.status_code,
        error=verdict.error or "",
        detail=redacted_text(
            _detail(verdict, first_fingerprint=first_fingerprint, fingerprint=fingerprint),
            rendered.secrets,
        ),
        request=redacted_request(redacted, ours) if redacted else {},
        response=withheld_response(reply)
        if _withholds_answer(rendered)
        else redacted_response(reply, rendered.secrets),
        fingerprint=first_fingerprint or fingerprint,
        wait_seconds=wait,
        suspend_rule=verdict.suspend_rule,
        uses_up_try=not is_our_proxy,
    )


def _detail(verdict: AttemptVerdict, *, first_fingerprint: str, fingerprint: str) -> str:
    if first_fingerprint and fingerprint and first_fingerprint != fingerprint:
        remark = "The request differs from the first one by the same version of the rule."
        return f"{verdict.detail} {remark}".strip()
    return verdict.detail
