"""Sends, drops or expires the postbacks that a rule holds, in the background.

People start a job, which `work` does in a task: a batch at a time, each in one transaction with its
count. So a job survives its worker, and two workers never do the same batch. `work` also does what
needs no person: it follows a rule's new status, and ends a week of waiting.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import log_action
from apps_registry.models import AuditEntry, Partner
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.delivery import holding
from postbacks.delivery.holding import HELD_DAYS, QueueLane
from postbacks.delivery.outcome import GONE
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.prepared import load_sql
from postbacks.models import (
    CallbackRule,
    DeliveryAttempt,
    DuePostback,
    HeldPostback,
    HeldReason,
    JobAction,
    Postback,
    PostbackJob,
    PostbackStatus,
    RuleStatus,
    SkipReason,
)
from postbacks.models.heartbeats import wake_pumps
from postbacks.rulebook.resending import NotResendableError, resend

# How many released postbacks of a rule may wait in the queue: about what is sent until a job looks
# again, so that the rule's fresh postbacks wait no longer than that behind a backlog.
_MOST_QUEUED = 2_000
_FEWEST_QUEUED = 20
_MOST_GONE = 5_000  # answers 410 to one organization around a suspension
_RESENT_TOGETHER = 100  # of them, in one request or by one step of a job
_UNDER_WAY = timedelta(minutes=5)  # longer than any request that was begun before the suspension
MOST_COUNTED = 10_000  # of what archiving skips
_SECONDS_AHEAD = 4
_NEXT_LOOK = timedelta(seconds=1)
_DONE_IN_ONE_RUN = 200  # jobs, or rules
_AUDITED: Final = {JobAction.SEND: Action.HELD_SENT, JobAction.DROP: Action.HELD_DROPPED}

_DUE_JOBS = """
SELECT organization_id, id FROM postback_job WHERE finished_at IS NULL AND due_at <= now()
ORDER BY due_at LIMIT %(limit)s
"""
_IS_ANY_EXPIRED = f"""
SELECT EXISTS (
    SELECT FROM held_postback
    WHERE reason = '{HeldReason.RULE_SUSPENDED}' AND held_at < now() - %(days)s * interval '1 day'
)
"""  # noqa: S608  # our own words
_UNSETTLED = load_sql(
    "postbacks.rulebook", "find_unsettled_rules", HeldReason, Lifecycle, RuleStatus
)
_OFF_IN_QUEUE = load_sql("postbacks.rulebook", "find_queued_off_rules", Lifecycle, RuleStatus)


class NotReleasableError(Exception):
    """What a rule holds can't be sent now; the message says why."""


@dataclass(frozen=True, slots=True)
class _RuleToSettle:
    organization_id: int
    rule_id: int
    status: str
    is_archived: bool  # the rule or its partner


def held_count(rule: CallbackRule) -> int:
    """Return how many postbacks wait for a person since their rule was suspended."""
    return HeldPostback.objects.filter(rule=rule, reason=HeldReason.RULE_SUSPENDED).count()


def refused_as_gone(rule: CallbackRule) -> list[Postback]:
    """Return the postbacks whose answer 410 suspended a rule last, oldest first.

    They failed, and were never held; they are sent with the held ones. However much else has failed
    since, only answers 410 to requests that began around the suspension are read.
    """
    since = datetime.now(UTC) - timedelta(days=HELD_DAYS)
    suspended_at = (
        AuditEntry.objects.filter(
            object_type=rule._meta.db_table,
            object_id=str(rule.public_id),
            action=Action.SUSPENDED,
            at__gt=since,
        )
        .order_by("-at")
        .values_list("at", flat=True)
        .first()
    )
    if suspended_at is None:
        return []
    answers = DeliveryAttempt.objects.filter(
        status_code=GONE,
        started_at__gt=suspended_at - _UNDER_WAY,
        started_at__lt=suspended_at + _UNDER_WAY,
        event_received_at__gt=since,
    )
    gone = set(
        answers.order_by("started_at").values_list("postback_id", "event_received_at")[:_MOST_GONE]
    )
    if not gone:
        return []
    rows = Postback.objects.filter(
        pk__in=[postback_id for postback_id, _ in gone],
        event_received_at__in=[received_at for _, received_at in gone],
        rule=rule,
        status=PostbackStatus.FAILED,
        last_status_code=GONE,
        test=False,
    )
    return list(rows.select_related("rule").order_by("id"))


def waiting_count(rules: Iterable[CallbackRule], *, most: int) -> int:
    """Return how many postbacks of rules wait, queued or held, and count no further than `most`.

    Those that a worker has at this moment are left out.
    """
    ids = [rule.pk for rule in rules]
    held = HeldPostback.objects.filter(rule__in=ids)[:most].count()
    queued = DuePostback.objects.filter(rule__in=ids, claim_id=None)
    return held + (queued[: most - held].count() if held < most else 0)


def rules_of(partners: Iterable[Partner]) -> "QuerySet[CallbackRule]":
    """Return the rules of partners that are not archived themselves."""
    rules = CallbackRule.objects.filter(partner__in=list(partners))
    return rules.exclude(status=RuleStatus.ARCHIVED)


def skipped_by_archiving(rules: Iterable[CallbackRule]) -> int:
    """Return how many postbacks are skipped if rules, or their partner, are archived now.

    No more than MOST_COUNTED are counted.
    """
    return waiting_count(rules, most=MOST_COUNTED)


def has_unpinned_in_queue(rule: CallbackRule) -> bool:
    """Tell whether a postback in the queue will go by the rule's current version."""
    return DuePostback.objects.filter(rule=rule, claim_id=None, pinned_version=None).exists()


def held_count_of_rules() -> Coalesce:
    """Return the same count as an annotation of a queryset of rules."""
    rows = HeldPostback.objects.filter(rule=OuterRef("pk"), reason=HeldReason.RULE_SUSPENDED)
    counts = rows.order_by().values("rule").annotate(count=Count("*")).values("count")
    return Coalesce(Subquery(counts), 0)


def newest_job(rule: CallbackRule) -> PostbackJob | None:
    """Return the job that a person started last for what the rule holds."""
    jobs = PostbackJob.objects.filter(rule=rule, reason=HeldReason.RULE_SUSPENDED)
    return jobs.order_by("-id").first()


def start_job(rule: CallbackRule, action: JobAction) -> PostbackJob:
    """Have everything that a rule holds sent or dropped in the background.

    Sending takes along what the partner refused with the 410 that suspended the rule.
    A job that is running already is not doubled; if it does the other thing, it goes on with this
    one. Raises NotReleasableError where a rule that is not on would have to send.
    """
    if action == JobAction.SEND and rule.status != RuleStatus.ACTIVE:
        state = RuleStatus(rule.status).label.lower()
        raise NotReleasableError(
            f"The rule is not active ({state}). Correct it, set its status to active, then send."
        )
    if action == JobAction.SEND:
        _resend_refused(rule)
    job, is_new = PostbackJob.objects.get_or_create(
        rule=rule,
        reason=HeldReason.RULE_SUSPENDED,
        finished_at=None,
        defaults={"action": action, "total": held_count(rule), "due_at": datetime.now(UTC)},
    )
    if is_new or job.action != action:
        job.action = action
        job.due_at = datetime.now(UTC)
        job.save(update_fields=["action", "due_at"])
        log_action(_AUDITED[action], rule, changes={"held": [job.total - job.done, None]})
    return job


def _resend_refused(rule: CallbackRule) -> int:
    """Resend some of what was refused with the 410 that suspended a rule; return how many."""
    count = 0
    for postback in refused_as_gone(rule)[:_RESENT_TOGETHER]:
        with suppress(NotResendableError):  # it stays failed, and its page says why
            resend(postback)
            count += 1
    return count


def is_any_due() -> bool:
    """Tell whether `work` has something to do, for all organizations."""
    with connection.cursor() as cursor:
        cursor.execute(_IS_ANY_EXPIRED, {"days": HELD_DAYS})
        if cursor.fetchone()[0]:
            return True
        cursor.execute(_DUE_JOBS, {"limit": 1})
        return cursor.fetchone() is not None or bool(_rules(_UNSETTLED, limit=1))


def work(seconds: float, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Work off jobs and what needs no job, for at most so many seconds.

    Only the role worker may do this; it sees every organization's rows.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until and _work_once(now()):
        pass


def sweep_queue(seconds: float) -> None:
    """Take the rows of suspended and archived rules from the queue before they are due.

    A pump does the same with those that it claims; this has a rule's count right within seconds.
    """
    until = time.monotonic() + seconds
    while rules := _rules(_OFF_IN_QUEUE, limit=_DONE_IN_ONE_RUN):
        if sum(map(_settle_queue, rules)) == 0 or time.monotonic() >= until:
            return


def _work_once(now: datetime) -> bool:
    """Do one batch of everything; tell whether anything was done."""
    done = holding.skip_expired(now - timedelta(days=HELD_DAYS))
    done += sum(_settle(rule) for rule in _rules(_UNSETTLED, limit=_DONE_IN_ONE_RUN))
    with connection.cursor() as cursor:
        cursor.execute(_DUE_JOBS, {"limit": _DONE_IN_ONE_RUN})
        jobs = cursor.fetchall()
    done += sum(_advance(organization_id, job_id) for organization_id, job_id in jobs)
    return done > 0


def _settle(rule: _RuleToSettle) -> int:
    """Do with a batch of what a rule holds as its status says."""
    if rule.is_archived:
        return holding.skip_held(rule.rule_id, HeldReason, SkipReason.RULE_ARCHIVED)
    if rule.status == RuleStatus.SUSPENDED:
        return holding.hold_longer(rule.rule_id)
    with tenant(rule.organization_id):
        _, is_new = PostbackJob.objects.get_or_create(
            rule_id=rule.rule_id,
            reason=HeldReason.RULE_OFF,
            finished_at=None,
            defaults={"action": JobAction.SEND, "due_at": datetime.now(UTC)},
        )
    return int(is_new)


def _settle_queue(rule: _RuleToSettle) -> int:
    if rule.is_archived:
        return holding.skip_queued(rule.rule_id, SkipReason.RULE_ARCHIVED)
    return holding.hold_queued(rule.rule_id)


def _advance(organization_id: int, job_id: int) -> int:
    """Do the next batch of a job; return how many postbacks it had."""
    with tenant(organization_id):
        jobs = PostbackJob.objects.select_for_update(skip_locked=True)
        job = jobs.filter(pk=job_id, finished_at=None).first()
        if job is None:
            return 0  # another worker has it
        status = holding.lock_statuses([job.rule_id])[job.rule_id]
        resent = 0
        if job.action == JobAction.DROP:
            done = holding.skip_held(job.rule_id, [HeldReason(job.reason)], SkipReason.HELD_DROPPED)
        elif status == RuleStatus.ACTIVE:
            done = _send_batch(job)
            if job.reason == HeldReason.RULE_SUSPENDED:
                resent = _resend_refused(job.rule)
        else:
            done, job.finished_at = 0, datetime.now(UTC)  # what is left is held on
        job.done += done
        job.due_at = datetime.now(UTC) + (timedelta(0) if done + resent else _NEXT_LOOK)
        if (
            done + resent == 0
            and not HeldPostback.objects.filter(rule_id=job.rule_id, reason=job.reason).exists()
        ):
            job.finished_at = datetime.now(UTC)
        job.save(update_fields=["done", "due_at", "finished_at", "queued_ids"])
    return done + resent


def _send_batch(job: PostbackJob) -> int:
    """Queue as many of a rule's held postbacks as it sends until the next look."""
    lane, most = _lane_and_room(job.rule_id)
    job.queued_ids = holding.still_queued(job.queued_ids)
    if len(job.queued_ids) > most // 2:
        return 0
    released = holding.release_held(
        job.rule_id,
        HeldReason(job.reason),
        lane,
        organization_id=job.organization_id,
        limit=most - len(job.queued_ids),
    )
    job.queued_ids += released
    wake_pumps()
    return len(released)


def _lane_and_room(rule_id: int) -> tuple[QueueLane, int]:
    """Return where a rule's current version sends, and how many may wait for it there."""
    number = CallbackRule.objects.values_list("version", flat=True).get(pk=rule_id)
    rule = load_rule_versions([(rule_id, number)]).get((rule_id, number))
    if rule is None:  # it can't be read: the pump says so
        return QueueLane("", is_paced=False), _FEWEST_QUEUED
    return QueueLane(rule.lane, is_paced=rule.definition.is_paced), queue_room(rule)


def queue_room(rule: CompiledRule) -> int:
    """Return how many postbacks that were released or replayed may wait in a rule's queue."""
    definition = rule.definition
    if not definition.is_paced:
        return _MOST_QUEUED
    per_second = definition.rate_limit_per_second or definition.max_in_flight or 1
    return min(_MOST_QUEUED, max(_FEWEST_QUEUED, per_second * _SECONDS_AHEAD))


def _rules(statement: str, *, limit: int) -> list[_RuleToSettle]:
    return prepared.fetch(_RuleToSettle, statement, {"limit": limit})
