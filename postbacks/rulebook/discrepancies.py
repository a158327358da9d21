"""Discrepancies: what a partner lists beside what was sent to it, and what of it they lack.

The list is read by `values.partner_lists`. A worker looks its lines up, a hundred with a few
statements, each by an index: as transactions, as the network's clicks, as events or postbacks. Then
it looks for what was sent in the list's time and is not in it. Each step stores its lines and how
far it came together, so that a killed worker's successor goes on there.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db.models import Max, Min

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor
from apps_registry.audit.audited_model import log_action
from apps_registry.models import Organization, Partner
from apps_registry.tenancy import current_organization, tenant
from postbacks.infrastructure.database.jobs import held_job, take_turns
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.infrastructure.database.statements import fetch_rows, rows, run
from postbacks.models import (
    Discrepancy,
    DiscrepancyLine,
    DiscrepancyOutcome,
    Event,
    JobStatus,
    Postback,
    PostbackStatus,
    SkipReason,
)
from postbacks.models.jobs import KEPT_FOR
from postbacks.rulebook.explain import explain
from postbacks.rulebook.listed_ids import (
    KnownIds,
    ListedClick,
    ListedEvent,
    ListedPartner,
    canonical,
)
from postbacks.values.partner_lists import PartnerLine, parse_list
from postbacks.values.refusals import no_room

logger = logging.getLogger(__name__)

MOST_RUNNING = 2  # of an organization
MOST_KEPT = 20  # likewise
MOST_MISSING = 100_000  # of what they lack is stored; the rest is counted
MOST_EXPLAINED = 500  # events that no rule wanted; of the others their pages say why
MOST_RULES = 5  # that one sentence names
TURN_SECONDS = 10.0
BATCH = 100  # lines that are looked up together
_SENT_BATCH = 1_000
_EXPLAIN_SECONDS = 5.0  # of each step
_DAY = timedelta(days=1)
_WAITING = """
SELECT organization_id, id FROM discrepancy WHERE status = 'running' ORDER BY worked_at LIMIT 100
"""
_IS_ANY_DUE = """
SELECT EXISTS (SELECT FROM discrepancy WHERE status = 'running')
    OR EXISTS (SELECT FROM discrepancy WHERE expires_at < now())
"""
_DELETE_EXPIRED = """
WITH expired AS (DELETE FROM discrepancy WHERE expires_at < now() RETURNING id)
DELETE FROM discrepancy_line WHERE discrepancy_id IN (SELECT id FROM expired)
"""
_FIND_SENT = load_sql("postbacks.rulebook", "find_sent_to_partner", PostbackStatus)

_OUTCOMES = {
    PostbackStatus.DELIVERED: DiscrepancyOutcome.SENT,
    PostbackStatus.PENDING: DiscrepancyOutcome.WAITING,
    PostbackStatus.FAILED: DiscrepancyOutcome.FAILED,
    PostbackStatus.SKIPPED: DiscrepancyOutcome.NOT_OWED,
}
_RANKS = {outcome: rank for rank, outcome in enumerate(_OUTCOMES.values())}
_NO_POSTBACK = "No rule of this partner wanted the event. The event's page says why, rule by rule."
_NO_RULES = "This partner has no callback rule, so nothing is sent to it."
_BROKE = "It broke; the log of the worker says why. Compare the list again."
_UNKNOWN = "No click, transaction, event or postback has this ID here."


class DiscrepancyRefusedError(Exception):
    """No comparison can be started now; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class ComparisonRequest:
    """What a person asks for: a list, whose it is, and what of ours it is compared with."""

    partner: Partner
    text: str
    event_name: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class _Sent:
    id: int
    public_id: UUID
    sdk_event_id: UUID
    event_received_at: datetime
    event_name: str
    delivered_at: datetime | None
    last_status_code: int | None
    revenue: Decimal | None
    currency: str | None
    transaction_id: str | None
    click_id: str | None


def start(request: ComparisonRequest) -> Discrepancy:
    """Have a worker compare a list. Raises DiscrepancyRefusedError and UnreadableListError."""
    _check_room()  # before the list is read, which takes a while
    text = request.text.replace("\0", "")  # PostgreSQL keeps none
    read = parse_list(text, zone=_zone())
    take_turns("discrepancy")
    _check_room()
    dates = [line.at for line in read.lines if line.at]
    now = datetime.now(UTC)
    discrepancy = Discrepancy.objects.create(
        partner=request.partner,
        event_name=request.event_name,
        text=text,
        readings=list(read.readings),
        remarks=list(read.remarks),
        asked_by=current_actor().name,
        created_at=now,
        expires_at=now + KEPT_FOR,
        worked_at=now,
        total=len(read.lines),
        since=request.since or (min(dates) - _DAY if dates else None),
        until=request.until or (max(dates) + _DAY if dates else None),
    )
    log_action(Action.EXPORTED, name=f"discrepancies with {request.partner}")
    return discrepancy


def _check_room() -> None:
    """Raise DiscrepancyRefusedError where as many are compared or kept as may be."""
    running = Discrepancy.objects.filter(status=JobStatus.RUNNING).count()
    refusal = no_room(
        running, MOST_RUNNING, "comparisons under way", "Wait for one, or cancel it."
    ) or no_room(
        Discrepancy.objects.count(), MOST_KEPT, "comparisons", "Delete some that you don't need."
    )
    if refusal:
        raise DiscrepancyRefusedError(refusal)


def cancel(discrepancy: Discrepancy) -> bool:
    """Stop a comparison; what it has found stays. Tell whether it was running."""
    return Discrepancy.end(discrepancy.pk, JobStatus.CANCELLED, text="")


def delete(discrepancy: Discrepancy) -> None:
    """Delete a comparison with its lines."""
    Discrepancy.objects.select_for_update().only("pk").filter(pk=discrepancy.pk).first()
    DiscrepancyLine.objects.filter(discrepancy=discrepancy.pk).delete()
    Discrepancy.objects.filter(pk=discrepancy.pk).delete()


def is_any_due() -> bool:
    """Tell whether a list is to be compared, or an old comparison to be deleted."""
    return bool(rows(_IS_ANY_DUE, {})[0][0])


def work(seconds: float = TURN_SECONDS, *, show_life: Callable[[], None] = lambda: None) -> None:
    """Give the comparison that has waited longest one turn, and delete those that have expired.

    Only the role worker may do this; it sees every organization's rows.
    """
    run(_DELETE_EXPIRED, {})
    with held_job("discrepancy", _WAITING) as job:
        if job is not None and Discrepancy.begin_turn(*job):
            _compare_or_fail(*job, until=time.monotonic() + seconds)
            Discrepancy.end_turn(*job)
            show_life()


def _compare_or_fail(organization_id: int, discrepancy_id: int, *, until: float) -> None:
    try:
        lines: Sequence[PartnerLine] = ()
        with tenant(organization_id):
            discrepancy = Discrepancy.unfinished(discrepancy_id).first()
            if discrepancy is None:
                return  # it ended a moment ago
            if discrepancy.text:
                lines = parse_list(discrepancy.text, zone=_zone()).lines
            partner = ListedPartner.read(discrepancy.partner_id)
        while _step(discrepancy, partner, lines) and time.monotonic() < until:
            pass
    except Exception as error:
        if is_outage(error):
            raise  # another turn goes on
        logger.exception("Comparison %d broke", discrepancy_id)
        with tenant(organization_id):
            Discrepancy.end(discrepancy_id, JobStatus.FAILED, text="", failure=_BROKE)


def _step(started: Discrepancy, partner: ListedPartner, lines: Sequence[PartnerLine]) -> bool:
    """Compare the next lines, or look for the next ones that they lack; False at the end."""
    with tenant(started.organization_id):
        # Locked, so that an erasure or a deletion waits for these lines and deletes them too.
        # Without its text, which each step would write again.
        unfinished = Discrepancy.unfinished(started.pk)
        discrepancy = unfinished.select_for_update().defer("text").first()
        if discrepancy is None:
            return False
        comparing = _Comparing(discrepancy, partner)
        if discrepancy.done < discrepancy.total:
            comparing.compare(lines)
        elif not comparing.look_for_missing():
            discrepancy.status = JobStatus.FINISHED
            discrepancy.finished_at = datetime.now(UTC)
        if discrepancy.done >= discrepancy.total:
            discrepancy.text = ""
        discrepancy.worked_at = datetime.now(UTC)
        discrepancy.save()
        return discrepancy.status == JobStatus.RUNNING


class _Comparing:
    """One step of a comparison, within a transaction of its organization."""

    def __init__(self, discrepancy: Discrepancy, partner: ListedPartner) -> None:
        self._job = discrepancy
        self._partner = partner
        self._explains_until = time.monotonic() + _EXPLAIN_SECONDS

    def compare(self, lines: Sequence[PartnerLine]) -> None:
        """Store the next lines, backwards, with what is known of them."""
        job = self._job
        end = job.total - job.done
        batch = lines[max(end - BATCH, 0) : end]
        matches = self._partner.look_up([line.id for line in batch])
        stored = [self._judged(line, matches) for line in reversed(batch)]
        DiscrepancyLine.objects.bulk_create(stored)
        for line in stored:
            self._count(line)
        job.done += len(batch)

    def look_for_missing(self) -> bool:
        """Store what was sent and is not in the list; False once all was looked at."""
        job = self._job
        if job.since is None or job.until is None:
            self._set_range()
        if not job.id_kind or job.since is None or job.until is None or not self._partner.rules:
            return False
        sent = fetch_rows(
            _Sent,
            _FIND_SENT,
            rules=self._partner.rules,
            event_name=job.event_name,
            since=job.since,
            reached_at=job.reached_at or job.until,
            reached_id=job.reached_id if job.reached_id is not None else 2**63 - 1,
            most=_SENT_BATCH,
        )
        by_id: dict[str, _Sent] = {}
        for row in reversed(sent):
            id_ = self._id_of(row)
            if id_:
                by_id[id_] = row
            else:
                job.without_id += 1
        listed = self._listed(by_id)
        missing = [
            self._missing(id_, row) for id_, row in by_id.items() if _digest(id_) not in listed
        ]
        room = MOST_MISSING - job.counts.get(DiscrepancyOutcome.MISSING, 0)
        DiscrepancyLine.objects.bulk_create(missing[: max(room, 0)])
        for line in missing:
            self._count(line)
        if sent:
            job.reached_at, job.reached_id = sent[-1].event_received_at, sent[-1].id
        return len(sent) == _SENT_BATCH

    def _set_range(self) -> None:
        """Have a list without dates stand for the time in which its lines were sent."""
        sent = DiscrepancyLine.objects.filter(
            discrepancy=self._job, outcome=DiscrepancyOutcome.SENT
        ).aggregate(first=Min("sent_at"), last=Max("sent_at"))
        if sent["first"] is not None:
            self._job.since = self._job.since or sent["first"] - _DAY
            self._job.until = self._job.until or sent["last"]

    def _judged(self, line: PartnerLine, matches: KnownIds) -> DiscrepancyLine:
        stored = DiscrepancyLine(
            organization_id=self._job.organization_id,
            discrepancy=self._job,
            number=line.number,
            partner_id_text=line.id,
            digest=_digest(line.id),
            at=line.at,
            amount=line.amount,
            currency=line.currency,
        )
        id_ = canonical(line.id)
        choices = [
            (event, self._best(matches.postbacks.get(event.id, ())))
            for event in matches.events.get(id_, ())
            if self._job.event_name in {"", event.event_name}
        ]
        if choices:
            event, postback = min(choices, key=lambda choice: _rank(line, choice, matches.used))
            matches.used.add(event.id)
            self._note_kind(event.kind)
            self._fill(stored, event, postback)
        elif clicks := matches.clicks.get(id_):
            self._note_kind("click")
            stored.outcome = DiscrepancyOutcome.NOT_OWED
            stored.reason, stored.detail = self._why_no_event(clicks, matches)
        else:
            stored.outcome, stored.detail = DiscrepancyOutcome.UNKNOWN, _UNKNOWN
        return stored

    def _best(self, postbacks: Sequence[Postback]) -> Postback | None:
        return min(postbacks, key=lambda postback: _RANKS[_outcome(postback)], default=None)

    def _fill(self, stored: DiscrepancyLine, event: ListedEvent, postback: Postback | None) -> None:
        stored.event_name, stored.sdk_event_id = event.event_name, event.event_id
        stored.our_amount, stored.our_currency = event.revenue, event.currency
        if postback is None:
            stored.outcome = DiscrepancyOutcome.NOT_OWED
            stored.reason, stored.detail = self._why_no_postback(event)
            return
        stored.outcome = _outcome(postback)
        stored.reason = postback.reason
        if postback.reason in SkipReason.values:
            stored.detail = str(SkipReason(postback.reason).label)
        stored.postback_public_id = postback.public_id
        stored.sent_at = postback.delivered_at
        stored.status_code = postback.last_status_code

    def _why_no_postback(self, event: ListedEvent) -> tuple[str, str]:
        """Return why the partner's rules sent nothing, as a code and a sentence."""
        if not self._partner.rules:
            return "no_rule", _NO_RULES
        never_owed = self._job.counts.get(DiscrepancyOutcome.NOT_OWED, 0)
        if never_owed >= MOST_EXPLAINED or time.monotonic() >= self._explains_until:
            return "not_matched", _NO_POSTBACK
        stored = Event.objects.get(pk=event.id, received_at=event.received_at)
        explained = explain(stored, partner_id=self._job.partner_id)
        reasons = [(each.rule, each.reasons[0]) for each in explained if each.reasons]
        # Rules for other events say nothing of interest beside one for this event.
        reasons = [pair for pair in reasons if pair[1].code != "trigger"] or reasons
        if not reasons:
            return "not_matched", _NO_POSTBACK
        code = reasons[0][1].code
        if len(reasons) == 1:
            return code, reasons[0][1].detail
        return code, " ".join(f"{rule}: {reason.detail}" for rule, reason in reasons[:MOST_RULES])

    def _why_no_event(self, clicks: Sequence[ListedClick], matches: KnownIds) -> tuple[str, str]:
        """Return why a click earned nothing for the partner, as a code and a sentence."""
        for click in clicks:
            if click.id in matches.click_reasons:
                return matches.click_reasons[click.id]
        if all(click.partner_id != self._job.partner_id for click in clicks):
            name = self._partner.names.get(clicks[0].partner_id, "another partner")
            return "other_partner", f"The click came from {name}."
        return "no_event", f"No {self._job.event_name or 'event'} of the click's install is stored."

    def _id_of(self, row: _Sent) -> str | None:
        """Return the ID by which the list would name a sent postback."""
        ids = {
            "transaction": row.transaction_id,
            "click": row.click_id,
            "event": str(row.sdk_event_id),
            "postback": str(row.public_id),
        }
        return ids.get(self._job.id_kind)

    def _listed(self, ids: Iterable[str]) -> set[UUID]:
        digests = {_digest(id_) for id_ in ids}
        lines = DiscrepancyLine.objects.filter(discrepancy=self._job, digest__in=digests)
        return set(lines.values_list("digest", flat=True))

    def _missing(self, id_: str, row: _Sent) -> DiscrepancyLine:
        return DiscrepancyLine(
            organization_id=self._job.organization_id,
            discrepancy=self._job,
            number=0,
            partner_id_text=id_,
            digest=_digest(id_),
            outcome=DiscrepancyOutcome.MISSING,
            event_name=row.event_name,
            sdk_event_id=row.sdk_event_id,
            postback_public_id=row.public_id,
            sent_at=row.delivered_at,
            status_code=row.last_status_code,
            our_amount=row.revenue,
            our_currency=row.currency or "",
        )

    def _note_kind(self, kind: str) -> None:
        """Remember what the list's IDs are: the first that is known says it."""
        self._job.id_kind = self._job.id_kind or kind

    def _count(self, line: DiscrepancyLine) -> None:
        job = self._job
        job.counts[line.outcome] = job.counts.get(line.outcome, 0) + 1
        job.differing_amounts += line.differs
        if line.amount is not None:
            _add(job.their_money, line.currency, line.amount)
        if line.our_amount is not None:
            _add(job.our_money.setdefault(line.outcome, {}), line.our_currency, line.our_amount)


def _rank(
    line: PartnerLine, choice: tuple[ListedEvent, Postback | None], used: set[int]
) -> tuple[Any, ...]:
    """Order the events that a line may mean: the same amount first, then what was sent."""
    event, postback = choice
    return (
        event.id in used,
        line.amount is not None and event.revenue != line.amount,
        len(_RANKS) if postback is None else _RANKS[_outcome(postback)],
        event.event_name != "install",
        event.received_at,
    )


def _zone() -> ZoneInfo:
    """Return the organization's zone, in which a list's times are that have none."""
    organization = Organization.objects.get(pk=current_organization() or 0)
    return ZoneInfo(organization.time_zone)


def _outcome(postback: Postback) -> DiscrepancyOutcome:
    return _OUTCOMES[PostbackStatus(postback.status)]


def _digest(id_: str) -> UUID:
    return UUID(bytes=hashlib.blake2b(canonical(id_).encode(), digest_size=16).digest())


def _add(money: dict[str, Any], currency: str, amount: Decimal) -> None:
    money[currency] = f"{Decimal(money.get(currency, '0')) + amount:f}"
