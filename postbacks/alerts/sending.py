"""Sends notices by e-mail and as signed callbacks, at least once and with the same `webhook-id`.

A notice is claimed for a lease, sent outside of any transaction, and ended or put off for its next
try. Each round takes a few notices of each organization and sends their callbacks at the same time,
so that a program that hangs delays nobody else's.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from queue import Empty, SimpleQueue
from typing import Final
from uuid import UUID

import msgspec
from django.core.mail import EmailMessage
from django.db import connection, transaction

from apps_registry.mail_text import mail_to_all, one_line
from apps_registry.models import Membership
from postbacks.callbacks.signing_secrets import load_signing_secrets
from postbacks.delivery.attempt import USER_AGENT, signature_headers
from postbacks.delivery.http.address_guard import told_to_authors
from postbacks.delivery.http.response import Reply
from postbacks.delivery.http.transport import Transport
from postbacks.delivery.outcome import AttemptVerdict, Outcome, SuccessRule, judge
from postbacks.delivery.retry import next_delay
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import run
from postbacks.models import AlertTopic, NoticeChannel, NoticeStatus
from postbacks.values.outgoing_request import OutgoingRequest
from postbacks.values.rule_choices import DEFAULT_DELAYS

logger = logging.getLogger(__name__)

OF_EACH: Final = 4  # notices of an organization in a round
AT_ONCE: Final = 32
TIMEOUT_SECONDS: Final = 8.0
_MAIL_SECONDS: Final = 5.0  # of a round; after that its other mails wait for their next try
_LEASE_SECONDS: Final = 120  # far longer than a round takes

_CLAIM = load_sql("postbacks.alerts", "claim_notices", NoticeStatus)
_IS_ANY_DUE = """
SELECT EXISTS (
    SELECT FROM alert_notice WHERE status IN ('pending', 'held') AND due_at <= now()
)
"""
_END = """
UPDATE alert_notice SET status = %(status)s, ended_at = %(at)s, status_code = %(code)s,
       error = %(error)s
WHERE organization_id = %(organization)s AND id = %(id)s AND tries = %(tries)s
  AND status = 'pending'
"""
_PUT_OFF = """
UPDATE alert_notice SET due_at = %(due)s, status_code = %(code)s, error = %(error)s
WHERE organization_id = %(organization)s AND id = %(id)s AND tries = %(tries)s
  AND status = 'pending'
"""


@dataclass(frozen=True, slots=True)
class ClaimedNotice:
    """A notice that this worker may send until its lease ends, and whom its alert tells now."""

    organization_id: int
    id: int
    public_id: UUID
    alert_id: int
    topic: str
    channel: str
    tries: int
    body: str
    emails: Sequence[str]
    webhook_url: str


@dataclass(frozen=True, slots=True)
class NoticeResult:
    """What came of a try to send a notice."""

    notice: ClaimedNotice
    outcome: Outcome
    status_code: int | None = None
    error: str = ""
    retry_after: float | None = None
    is_dropped: bool = False  # there is nobody to tell any more


def is_any_due() -> bool:
    """Tell whether a notice is to be sent."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY_DUE)
        return bool(cursor.fetchone()[0])


def work(transport: Transport, seconds: float, *, now: datetime | None = None) -> int:
    """Send notices that are due for about so long; return how many were tried."""
    until = time.monotonic() + seconds
    tried = 0
    while claimed := claim(now or datetime.now(UTC)):
        tried += len(claimed)
        by_mail = [notice for notice in claimed if notice.channel == NoticeChannel.EMAIL]
        callbacks = [notice for notice in claimed if notice.channel == NoticeChannel.CALLBACK]
        # Mails go while the callbacks are under way.
        with _Callbacks(transport, callbacks) as under_way:
            for result in send_mails(by_mail):
                finish(result, now or datetime.now(UTC))
        for result in under_way.results:
            finish(result, now or datetime.now(UTC))
        if time.monotonic() > until:
            break
    return tried


def claim(now: datetime) -> list[ClaimedNotice]:
    """Claim a round of notices, as the role worker."""
    with transaction.atomic(), connection.cursor() as cursor:
        limits = {"of_each": OF_EACH, "limit": AT_ONCE, "lease": _LEASE_SECONDS}
        cursor.execute(_CLAIM, {"now": now, **limits})
        return [ClaimedNotice(*row) for row in cursor.fetchall()]


def finish(result: NoticeResult, now: datetime) -> None:
    """End a notice, or put it off for its next try."""
    notice = result.notice
    values: dict[str, object] = {
        "organization": notice.organization_id,
        "id": notice.id,
        "tries": notice.tries,
        "code": result.status_code,
        "error": result.error[:64],
    }
    wait = _wait_after(result)
    if wait is not None:
        run(_PUT_OFF, {**values, "due": now + timedelta(seconds=wait)})
        return
    status = NoticeStatus.SENT if result.outcome is Outcome.DELIVERED else NoticeStatus.FAILED
    if result.is_dropped:
        status = NoticeStatus.DROPPED
    run(_END, {**values, "status": status.value, "at": now})


def send_mails(notices: Iterable[ClaimedNotice]) -> Iterable[NoticeResult]:
    """Send the notices of each alert as one mail.

    All mails take the same server: when it refuses one, or is slow, the others wait.
    """
    by_alert: defaultdict[tuple[int, int], list[ClaimedNotice]] = defaultdict(list)
    for notice in notices:
        by_alert[notice.organization_id, notice.alert_id].append(notice)
    until = time.monotonic() + _MAIL_SECONDS
    for (organization_id, _), of_alert in by_alert.items():
        results = _put_off(of_alert) if time.monotonic() > until else []
        results = results or _send_mail(organization_id, of_alert)
        if results[0].outcome is Outcome.RETRY:
            until = 0.0
        yield from results


def _send_mail(organization_id: int, notices: Sequence[ClaimedNotice]) -> list[NoticeResult]:
    addresses = _addresses(organization_id, notices[0].emails)
    if not addresses:
        return [NoticeResult(notice, Outcome.FAILED, is_dropped=True) for notice in notices]
    try:
        _mail(notices, addresses).send()
    except OSError:  # refused, unreachable, timed out; what smtplib raises is one too
        logger.warning("A mail of the alert %d could not be sent", notices[0].alert_id)
        return _put_off(notices)
    return [NoticeResult(notice, Outcome.DELIVERED) for notice in notices]


def _put_off(notices: Sequence[ClaimedNotice]) -> list[NoticeResult]:
    return [NoticeResult(notice, Outcome.RETRY, error="mail_server") for notice in notices]


def _addresses(organization_id: int, named: Sequence[str]) -> list[str]:
    """Return the named addresses that are still members' of the organization."""
    members = Membership.objects.filter(
        organization_id=organization_id, user__is_active=True, user__email__in=list(named)
    )
    return list(members.order_by("id").values_list("user__email", flat=True))


def _mail(notices: Sequence[ClaimedNotice], addresses: Sequence[str]) -> EmailMessage:
    contents = [msgspec.json.decode(notice.body) for notice in notices]
    name = one_line(contents[0]["data"]["alert"]["name"])
    texts = [_mail_text(content) for content in contents]
    subject = f"{texts[0][0]}: {name}" if len(texts) == 1 else f"{len(texts)} notices: {name}"
    body = "\n\n".join(text for _, text in texts)
    condition = contents[0]["data"]["alert"]["condition"]
    link = contents[0]["data"]["url"]
    return mail_to_all(
        addresses,
        subject=f"[Postbacks] {subject}",
        body=f"{body}\n\nThe alert: {condition}\n\n{link}\n",
    )


_TITLES: Mapping[str, str] = {
    AlertTopic.RAISED: "Alert raised",
    AlertTopic.CLEARED: "Alert cleared",
    AlertTopic.RULE_FAILING: "Callback rule failing",
    AlertTopic.RULE_SUSPENDED: "Callback rule suspended",
    AlertTopic.RULE_RECOVERED: "Callback rule recovered",
    AlertTopic.BREAKER_OPENED: "Partner does not answer",
    AlertTopic.BREAKER_CLOSED: "Partner answers again",
    AlertTopic.TEST: "Test of an alert",
}


def _mail_text(content: Mapping[str, object]) -> tuple[str, str]:
    """Return the title of a notice, and its paragraph."""
    title = _TITLES[str(content["type"])]
    data: Mapping[str, object] = content["data"]  # type: ignore[assignment]  # our own JSON
    incident = data["incident"]
    if not isinstance(incident, Mapping):
        return title, "This is a test. Notices of this alert arrive here."
    ended = f", cleared at {incident['cleared_at']}" if incident["cleared_at"] else ""
    where = f"“{one_line(str(incident['subject']))}”"
    return title, (
        f"{title}: {where}. {incident['detail']}. Raised at {incident['raised_at']}{ended}."
    )


class _Callbacks:
    """Sends callbacks at the same time; on leaving its `with`, `results` are complete."""

    def __init__(self, transport: Transport, notices: Sequence[ClaimedNotice]) -> None:
        self.results: list[NoticeResult] = []
        self._transport = transport
        self._notices = notices
        self._replies: SimpleQueue[tuple[ClaimedNotice, Reply]] = SimpleQueue()
        self._awaited = 0

    def __enter__(self) -> "_Callbacks":
        secrets = load_signing_secrets({notice.organization_id for notice in self._notices})
        for notice in self._notices:
            signing = secrets.get(notice.organization_id, ())
            if not notice.webhook_url:
                self.results.append(NoticeResult(notice, Outcome.FAILED, is_dropped=True))
            elif not signing:  # unsigned, nobody could tell it from a stranger's
                self.results.append(NoticeResult(notice, Outcome.RETRY, error="no_signing_secret"))
            else:
                self._start(notice, signing)
        return self

    def __exit__(self, *_exception: object) -> None:
        for _ in range(self._awaited):
            try:
                notice, reply = self._replies.get(timeout=2 * TIMEOUT_SECONDS)
            except Empty:  # its lease ends, and another round sends it again
                return
            self.results.append(_judged(notice, told_to_authors(reply, notice.webhook_url)))

    def _start(self, notice: ClaimedNotice, signing: Sequence[str]) -> None:
        self._awaited += 1
        self._transport.start(
            callback_request(notice, signing),
            timeout=TIMEOUT_SECONDS,
            done=lambda reply: self._replies.put((notice, reply)),
        )


def callback_request(notice: ClaimedNotice, signing: Sequence[str]) -> OutgoingRequest:
    """Return the signed request of a notice."""
    body = notice.body.encode()
    message_id = str(notice.public_id)
    return OutgoingRequest(
        "POST",
        notice.webhook_url,
        {
            "Content-Type": "application/json",
            "User-Agent": USER_AGENT,
            "Idempotency-Key": message_id,
            **signature_headers(signing, message_id=message_id, at=datetime.now(UTC), body=body),
        },
        body,
    )


def _judged(notice: ClaimedNotice, reply: Reply) -> NoticeResult:
    verdict: AttemptVerdict = judge(
        status_code=reply.status_code,
        body=reply.body,
        failure=reply.error,
        detail=reply.detail,
        success=SuccessRule(),
    )
    return NoticeResult(
        notice, verdict.outcome, reply.status_code, verdict.error or "", reply.retry_after
    )


def _wait_after(result: NoticeResult) -> float | None:
    """Return the seconds until the next try; None if there is none."""
    if result.outcome is not Outcome.RETRY:
        return None
    return next_delay(
        attempts_made=result.notice.tries,
        delays=DEFAULT_DELAYS,
        seed=str(result.notice.public_id),
        retry_after=result.retry_after,
    )
