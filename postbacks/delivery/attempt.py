"""⑦ Makes one attempt: puts our headers on, sends, judges the answer, says what comes next."""

import base64
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from urllib.parse import quote, quote_plus

import msgspec
from django.conf import settings

from postbacks import __version__
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.delivery.claiming import Lease
from postbacks.delivery.http.response import LONGEST_HEADER
from postbacks.delivery.http.sender import Reply, Sender
from postbacks.delivery.outcome import AttemptVerdict, Outcome, SuccessRule, judge, parse_success
from postbacks.delivery.retry import next_delay
from postbacks.delivery.signing import redacted_signature, signature_headers
from postbacks.models import PostbackStatus
from postbacks.values.outgoing_request import OutgoingRequest, RenderedPostback

USER_AGENT = f"Postbacks/{__version__}"
KEPT_OF_BODY = 4096
MASK = "•••"
_SHORTEST_SECRET = 4  # masking “1” everywhere would hide the answer, not the secret

_STATUS_AFTER = {
    Outcome.DELIVERED: PostbackStatus.DELIVERED,
    Outcome.RETRY: PostbackStatus.PENDING,
    Outcome.FAILED: PostbackStatus.FAILED,
}


def attempt(claim: Lease, prepared: RenderedPostback, sender: Sender) -> AttemptResult:
    """Send a claimed postback once and return what is to be logged; writes nothing itself."""
    started_at = datetime.now(UTC)
    if prepared.rendering is None:
        verdict = AttemptVerdict(Outcome.FAILED, prepared.error, prepared.refusal)
        return _finished(claim, prepared, started_at, Reply(), verdict)
    try:
        success = _success_rule(msgspec.json.encode(prepared.success))
    except ValueError as error:
        verdict = AttemptVerdict(Outcome.FAILED, "success_rule", str(error))
        return _finished(claim, prepared, started_at, Reply(), verdict)
    request = prepared.rendering.request
    signature = signature_headers(
        prepared.signing, message_id=str(claim.owed.public_id), at=started_at, body=request.body
    )
    ours = _our_headers(claim, request)
    request = replace(request, headers={**request.headers, **ours, **signature})
    reply = sender.send(
        request, timeout=min(prepared.timeout_seconds, float(settings.HTTP_TOTAL_SECONDS))
    )
    verdict = judge(
        status_code=reply.status_code,
        body=reply.body,
        failure=reply.error,
        detail=reply.detail,
        success=success,
    )
    return _finished(claim, prepared, started_at, reply, verdict)


@lru_cache(maxsize=4096)
def _success_rule(text: bytes) -> SuccessRule:
    return parse_success(msgspec.json.decode(text))


def broken(claim: Lease, prepared: RenderedPostback) -> AttemptResult:
    """Return what is logged of an attempt that a mistake of ours broke: it is tried again."""
    verdict = AttemptVerdict(Outcome.RETRY, "internal", "Something went wrong on our side.")
    bare = replace(prepared, rendering=None)
    return _finished(claim, bare, datetime.now(UTC), Reply(), verdict)


def _our_headers(claim: Lease, request: OutgoingRequest) -> dict[str, str]:
    """Return our headers. A rule's own User-Agent, such as the device's, stands in place of ours.

    It is the only one that a rule may replace: partners tell postbacks apart by the others.
    """
    ours = {"Idempotency-Key": str(claim.owed.public_id)}
    if any(name.lower() == "user-agent" for name in request.headers):
        return ours
    return {"User-Agent": USER_AGENT, **ours}


def _redacted_headers(
    claim: Lease, prepared: RenderedPostback, redacted: OutgoingRequest, started_at: datetime
) -> dict[str, str]:
    """Return what people see of our headers: all but the signature, which is never stored."""
    ours = _our_headers(claim, redacted)
    if not prepared.signing:
        return ours
    return {**ours, **redacted_signature(str(claim.owed.public_id), at=started_at)}


def _finished(
    claim: Lease,
    prepared: RenderedPostback,
    started_at: datetime,
    reply: Reply,
    verdict: AttemptVerdict,
) -> AttemptResult:
    owed = claim.owed
    number = owed.attempts_made + 1
    wait = None
    if verdict.outcome is Outcome.RETRY:
        wait = next_delay(
            attempts_made=claim.tries + 1,
            delays=prepared.retry_delays,
            seed=str(owed.public_id),
            retry_after=reply.retry_after,
        )
    gave_up = verdict.outcome is Outcome.RETRY and wait is None
    redacted = prepared.rendering.redacted if prepared.rendering else None
    fingerprint = _fingerprint(redacted) if redacted and not prepared.varies else ""
    ours = _redacted_headers(claim, prepared, redacted, started_at) if redacted else {}
    return AttemptResult(
        organization_id=owed.organization_id,
        postback_id=owed.id,
        event_received_at=owed.event_received_at,
        rule_id=owed.rule_id,
        claim_id=claim.claim_id,
        number=number,
        kind=claim.kind,
        started_at=started_at,
        duration_ms=reply.duration_ms,
        outcome=Outcome.FAILED if gave_up else verdict.outcome,
        status=PostbackStatus.FAILED if gave_up else _STATUS_AFTER[verdict.outcome],
        status_code=reply.status_code,
        error=verdict.error or "",
        detail=_detail(verdict, owed.fingerprint, fingerprint),
        request=_redacted_request(redacted, ours) if redacted else {},
        response=_redacted_response(reply, prepared.secrets),
        fingerprint=owed.fingerprint or fingerprint,
        wait_seconds=wait,
        suspend_rule=verdict.suspend_rule,
    )


def _detail(verdict: AttemptVerdict, first: str, now: str) -> str:
    if first and now and first != now:
        return f"{verdict.detail} The request differs from the first attempt's.".strip()
    return verdict.detail


def _fingerprint(redacted: OutgoingRequest) -> str:
    """Return a keyed hash of the credential-free request, by which attempts can be compared."""
    parts = [redacted.method, redacted.url, repr(sorted(redacted.headers.items()))]
    text = "\n".join(parts).encode() + b"\n" + (redacted.body or b"")
    return hmac.digest(settings.SECRET_KEY.encode(), text, "sha256").hex()


def _redacted_request(redacted: OutgoingRequest, ours: Mapping[str, str]) -> dict[str, object]:
    return {
        "method": redacted.method,
        "url": redacted.url,
        "headers": {**redacted.headers, **ours},
        "body": None if redacted.body is None else _text(redacted.body),
    }


def _redacted_response(reply: Reply, secrets: tuple[str, ...]) -> dict[str, object]:
    if reply.status_code is None:
        return {}
    mask = _Mask(secrets)
    return {
        "headers": {name: mask.over(value) for name, value in reply.headers.items()},
        # Masked before it is cut: a cut through a secret would leave half of it.
        "body": mask.over(_text(reply.body))[:KEPT_OF_BODY],
    }


class _Mask:
    """Hides credentials that a partner sends back to us, in every form that we know of."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        long_enough = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        forms = {form for secret in long_enough for form in _forms(secret)}
        self.forms = sorted(forms, key=len, reverse=True)  # the longer may hold the shorter
        self.longest = len(self.forms[0]) if forms else 0

    def over(self, text: str) -> str:
        """Return the text with `•••` in place of secrets."""
        for form in self.forms:
            text = text.replace(form, MASK)
        # An answer is read up to a limit, which may lie in the middle of a secret.
        return text[: -self.longest] if self.longest and len(text) >= LONGEST_HEADER else text


@lru_cache(maxsize=1024)
def _forms(secret: str) -> frozenset[str]:
    data = secret.encode()
    forms = {
        secret,
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        base64.b64encode(data).decode(),
        base64.urlsafe_b64encode(data).decode().rstrip("="),
    }
    return frozenset(forms)


def _text(data: bytes) -> str:
    # PostgreSQL's JSON can't hold a NUL character.
    return data.decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
