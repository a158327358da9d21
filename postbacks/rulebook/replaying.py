"""Works on replays in the background: queues what was asked for, at its pace.

A batch is queued in one transaction with the key at which the next one begins, so that a worker
that is killed loses nothing and doubles nothing. What is queued is remembered until it has ended
(`replay_outcomes`), so that a replay never runs ahead of its pace.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from django.db import connection, transaction
from django.db.models import Q, QuerySet

from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.compiled import CompiledRule, load_rule_versions
from postbacks.delivery import holding
from postbacks.delivery.resend import MOST_ATTEMPTS
from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.database.outages import is_outage
from postbacks.infrastructure.database.prepared import load_sql, within_days
from postbacks.models import (
    AttemptKind,
    Event,
    Postback,
    PostbackStatus,
    Replay,
    ReplayedPostback,
    ReplayPart,
    RuleStatus,
    SkipReason,
)
from postbacks.models.days import whole_days
from postbacks.models.events import ERASED
from postbacks.models.heartbeats import wake_pumps
from postbacks.rulebook import replay_outcomes
from postbacks.rulebook.held_postbacks import queue_room
from postbacks.rulebook.replay_outcomes import NEXT_LOOK
from postbacks.rulebook.replays import ReplayRequest
from postbacks.rulebook.resending import NotResendableError, requeue_skipped

logger = logging.getLogger(__name__)

BATCH = 1_000
_WINDOW = 5_000  # rows of a rule's log in which a batch's matches are looked for
_SECONDS_AHEAD = 5  # so much of a replay is queued before it is due
_POSTPONED = timedelta(minutes=1)
_PARTS_IN_ONE_RUN = 200

_DUE_PARTS = """
SELECT organization_id, id FROM replay_part WHERE finished_at IS NULL AND due_at <= %(now)s
ORDER BY due_at LIMIT %(limit)s
"""
_ENQUEUE = load_sql("postbacks.rulebook", "enqueue_replayed", AttemptKind)
_MARK_PENDING = f"""
UPDATE postback SET
    status = CASE WHEN delivered_at IS NULL THEN '{PostbackStatus.PENDING}' ELSE status END,
    reason = '', next_attempt_at = input.due_at
FROM unnest(%(ids)s::bigint[], %(moments)s::timestamptz[], %(due)s::timestamptz[],
            %(statuses)s::text[]) AS input (id, received_at, due_at, status_before)
WHERE postback.organization_id = %(organization)s AND postback.id = input.id
  AND postback.event_received_at = input.received_at AND postback.status = input.status_before
  AND postback.event_received_at BETWEEN '-infinity' AND 'infinity'
RETURNING postback.id
"""  # noqa: S608  # our own words


@dataclass(frozen=True, slots=True)
class _PartBatch:
    """The next postbacks of a part, and whether others follow them."""

    rows: Sequence[Postback]
    after: tuple[int, int]
    is_last: bool


@dataclass(frozen=True, slots=True)
class _Queued:
    postback: Postback
    status_before: str
    reason_before: str
    due_at: datetime


def is_any_due() -> bool:
    """Tell whether `work` has something to do, for all organizations."""
    with connection.cursor() as cursor:
        cursor.execute(_DUE_PARTS, {"now": datetime.now(UTC), "limit": 1})
        if cursor.fetchone() is not None:
            return True
    return replay_outcomes.is_any_due()


def work(seconds: float, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Work on replays for at most so many seconds.

    Only the role worker may do this; it sees every organization's rows.
    """
    until = time.monotonic() + seconds
    while time.monotonic() < until and _work_once(now()):
        pass


def _work_once(now: datetime) -> bool:
    done = replay_outcomes.follow(now)
    with connection.cursor() as cursor:
        cursor.execute(_DUE_PARTS, {"now": now, "limit": _PARTS_IN_ONE_RUN})
        parts = cursor.fetchall()
    done += sum(
        _advance_safely(organization_id, part_id, now) for organization_id, part_id in parts
    )
    return done > 0


def _advance_safely(organization_id: int, part_id: int, now: datetime) -> int:
    """Do the next batch of a part; one that raises is postponed and never blocks the others."""
    try:
        return _advance(organization_id, part_id, now)
    except Exception as error:
        if is_outage(error):
            raise  # the database failed, not a replay
        logger.exception("A batch of replay part %d could not be queued", part_id)
        with tenant(organization_id):
            ReplayPart.objects.filter(pk=part_id).update(due_at=now + _POSTPONED)
        return 0


def _advance(organization_id: int, part_id: int, now: datetime) -> int:
    """Do the next batch of a part; return how many postbacks it had."""
    with tenant(organization_id):
        parts = ReplayPart.objects.select_for_update(skip_locked=True, of=("self",))
        part = parts.filter(pk=part_id, finished_at=None).select_related("replay").first()
        if part is None:
            return 0  # another worker has it
        if part.replay.cancelled_at is not None:
            done = replay_outcomes.take_back(part)
            is_over = done == 0 and not replay_outcomes.not_begun(part).exists()
        else:
            done = 0 if part.is_through else _queue_batch(part, now)
            is_over = part.is_through and part.queued == 0
        part.due_at = now + (timedelta(0) if done else NEXT_LOOK)
        part.finished_at = now if is_over else None
        part.save()
        if is_over:
            _finish(part.replay_id, now)
    return done


def _finish(replay_id: int, now: datetime) -> None:
    """End a replay with the last of its parts."""
    replay = Replay.objects.select_for_update().get(pk=replay_id)
    unfinished = ReplayPart.objects.filter(replay_id=replay_id, finished_at=None)
    if replay.finished_at is None and not unfinished.exists():
        replay.finished_at = now
        replay.save(update_fields=["finished_at"])


def _queue_batch(part: ReplayPart, now: datetime) -> int:
    """Queue as much of a rule's share as pace and rule allow; skip what can't go."""
    status = holding.lock_statuses([part.rule_id])[part.rule_id]
    rules = load_rule_versions([(part.rule_id, part.rule.version)])
    current = next((rule for rule in rules.values() if rule.version == rule.current_version), None)
    if reason := _refusal(status, current):
        batch = _next_batch(part, BATCH)
        replay_outcomes.count_skipped(part, Counter({reason: len(batch.rows)}))
        _continue_after(part, batch)
        return len(batch.rows) or int(not batch.is_last)
    assert current is not None  # `_refusal` has seen to that  # noqa: S101
    replay = Replay.objects.select_for_update().get(pk=part.replay_id)
    room = min(queue_room(current) - part.queued, _allowed(replay, now), BATCH)
    if room <= 0:
        return 0
    batch = _next_batch(part, room)
    queued, skipped = _queue(batch.rows, current, replay, now)
    _remember(part, queued)
    if status == RuleStatus.SUSPENDED and queued:
        holding.hold_queued(part.rule_id, limit=len(queued))
    replay_outcomes.count_skipped(part, skipped)
    _continue_after(part, batch)
    part.queued += len(queued)
    replay.next_at = max(replay.next_at, now) + _spacing(replay) * len(queued)
    replay.save(update_fields=["next_at"])
    wake_pumps()
    return len(batch.rows) or int(not batch.is_last)


def _refusal(status: RuleStatus, current: CompiledRule | None) -> str:
    """Return why nothing of a rule is sent now, empty if it is."""
    if status == RuleStatus.ARCHIVED or (current is not None and current.is_archived):
        return SkipReason.RULE_ARCHIVED
    if status not in {RuleStatus.ACTIVE, RuleStatus.SUSPENDED}:
        return "rule_off"
    return SkipReason.RULE_ERROR if current is None else ""


def _spacing(replay: Replay) -> timedelta:
    return timedelta(seconds=1) / replay.per_second


def _allowed(replay: Replay, now: datetime) -> int:
    """Return how many postbacks the pace limit lets a replay queue ahead."""
    start = max(replay.next_at, now)
    return int((now + timedelta(seconds=_SECONDS_AHEAD) - start) / _spacing(replay))


def _next_batch(part: ReplayPart, limit: int) -> _PartBatch:
    """Return the next postbacks of a part, in the order of their events.

    A batch reads so much of the rule's log and no more, however rare the matches are.
    """
    request = ReplayRequest.of(part.replay)
    rows = Postback.objects.filter(rule_id=part.rule_id, event_id__gte=part.after_event)
    if request.filter.until is not None:
        rows = rows.filter(event_received_at__lt=request.filter.until)
    rows = rows.filter(
        Q(event_id__gt=part.after_event) | Q(attribution_version__gt=part.after_attribution)
    ).order_by("event_id", "attribution_version")
    end = None if request.ids else _end_of_window(rows, request)
    matches = rows.filter(*request.conditions())
    if end is not None:
        matches = matches.filter(event_id__lte=end)
    matching = list(matches[:limit])
    if len(matching) == limit:
        last = matching[-1]
        return _PartBatch(matching, (last.event_id or 0, last.attribution_version), is_last=False)
    return _PartBatch(matching, (end or part.after_event, 2**31 - 1), is_last=end is None)


def _end_of_window(rows: "QuerySet[Postback]", request: ReplayRequest) -> int | None:
    """Return the event at the end of the next window, None if the log ends before."""
    if request.filter.since is not None:
        rows = rows.filter(event_received_at__gte=request.filter.since)
    return rows.values_list("event_id", flat=True)[_WINDOW : _WINDOW + 1].first()


def _continue_after(part: ReplayPart, batch: _PartBatch) -> None:
    part.after_event, part.after_attribution = batch.after
    part.is_through = batch.is_last


def _queue(
    rows: Sequence[Postback], current: CompiledRule, replay: Replay, now: datetime
) -> tuple[list[_Queued], Counter[str]]:
    """Queue postbacks at the pace of the replay; return them, and the others by reason."""
    request = ReplayRequest.of(replay)
    erased = _erased_events(rows)
    start, step = max(replay.next_at, now), _spacing(replay)
    skipped: Counter[str] = Counter()
    to_queue: list[_Queued] = []
    queued: list[_Queued] = []
    for postback in rows:
        due_at = start + step * (len(to_queue) + len(queued))
        wish = _Queued(postback, postback.status, postback.reason, due_at)
        if reason := _row_refusal(postback, request, erased):
            skipped[reason] += 1
        elif postback.status != PostbackStatus.SKIPPED:
            to_queue.append(wish)
        elif reason := _requeue(postback, current, due_at):
            skipped[reason] += 1
        else:
            queued.append(wish)
    taken = _enqueue(to_queue, current, as_decided=request.as_decided)
    skipped["pending"] += len(to_queue) - len(taken)
    queued += [wish for wish in to_queue if wish.postback.pk in taken]
    return queued, +skipped


def _row_refusal(postback: Postback, request: ReplayRequest, erased: Collection[int]) -> str:
    if not request.sends(postback.status):
        return postback.status  # pending or delivered
    if postback.attempts_made >= MOST_ATTEMPTS:
        return "too_many_attempts"
    if postback.event_id in erased:
        return SkipReason.ERASED
    if postback.status == PostbackStatus.SKIPPED and request.as_decided:
        return "never_decided"
    return ""


def _requeue(postback: Postback, rule: CompiledRule, due_at: datetime) -> str:
    """Have a skipped postback decided again; return why it stays skipped, empty if not."""
    try:
        with transaction.atomic():
            requeue_skipped(postback, rule, kind=AttemptKind.REPLAY, due_at=due_at)
    except NotResendableError as refusal:
        return refusal.code
    return ""


def _enqueue(
    wishes: Sequence[_Queued], current: CompiledRule, *, as_decided: bool
) -> Collection[int]:
    """Queue postbacks that are failed or delivered still; return the ids of those."""
    if not wishes:
        return ()
    lanes = _lanes(wishes, current) if as_decided else {}
    rows = [
        {
            "postback_id": wish.postback.pk,
            "organization_id": wish.postback.organization_id,
            "event_received_at": wish.postback.event_received_at,
            "rule_id": wish.postback.rule_id,
            "host": lanes.get(wish.postback.rule_version, current.lane),
            "due_at": wish.due_at,
            "paced": current.definition.is_paced,
            "pinned_version": wish.postback.rule_version if as_decided else None,
        }
        for wish in wishes
    ]
    taken = prepared.run(_ENQUEUE, {"rows": msgspec.json.encode(rows).decode()})
    in_queue = {postback_id for (postback_id,) in taken}
    ours = [wish for wish in wishes if wish.postback.pk in in_queue]
    if not ours:
        return ()
    marked = prepared.run(
        within_days(_MARK_PENDING, *whole_days(w.postback.event_received_at for w in ours)),
        {
            "organization": ours[0].postback.organization_id,
            "ids": [wish.postback.pk for wish in ours],
            "moments": [wish.postback.event_received_at for wish in ours],
            "due": [wish.due_at for wish in ours],
            "statuses": [wish.status_before for wish in ours],
        },
    )
    fresh = {postback_id for (postback_id,) in marked}
    if fresh != in_queue:  # sent by somebody else since it was read
        with connection.cursor() as cursor:
            cursor.execute(
                "DELETE FROM due_postback WHERE organization_id = %s AND postback_id = ANY(%s)",
                [ours[0].postback.organization_id, sorted(in_queue - fresh)],
            )
    return fresh


def _lanes(wishes: Sequence[_Queued], current: CompiledRule) -> Mapping[int, str]:
    keys = {(current.rule_id, wish.postback.rule_version) for wish in wishes}
    return {version: rule.lane for (_, version), rule in load_rule_versions(keys).items()}


def _erased_events(rows: Sequence[Postback]) -> set[int]:
    if not rows:
        return set()
    moments = [row.event_received_at for row in rows]
    events = Event.objects.filter(
        id__in=[row.event_id for row in rows],
        received_at__range=(min(moments), max(moments)),
        device__startswith=ERASED,
    )
    return set(events.values_list("pk", flat=True))


def _remember(part: ReplayPart, queued: Iterable[_Queued]) -> None:
    ReplayedPostback.objects.bulk_create(
        ReplayedPostback(
            organization_id=part.organization_id,
            part=part,
            postback=wish.postback,
            event_received_at=wish.postback.event_received_at,
            status_before=wish.status_before,
            reason_before=wish.reason_before,
            attempts_before=wish.postback.attempts_made,
            look_at=wish.due_at + NEXT_LOOK,
        )
        for wish in queued
    )
