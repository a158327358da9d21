"""Replays: what may be asked for, the estimate before, the start and the cancel.

`replaying` does the work in the background, and `replay_outcomes` follows it.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
from django.db import OperationalError, connection, transaction
from django.db.models import Count, Q
from psycopg.errors import QueryCanceled

from apps_registry.audit.actions import Action
from apps_registry.audit.actors import current_actor
from apps_registry.audit.audited_model import log_action
from apps_registry.models import App
from apps_registry.tenancy import Lifecycle
from postbacks.callbacks.rules.compiled import load_rule_versions
from postbacks.insights.logs import StatusCodes
from postbacks.models import (
    CallbackRule,
    Postback,
    PostbackStatus,
    Replay,
    ReplayPart,
    RuleStatus,
    SkipReason,
)
from postbacks.models.replays import USUAL_PER_SECOND

MOST_IDS = 1_000
MOST_POSTBACKS = 1_000_000
REPLAYABLE = (PostbackStatus.FAILED, PostbackStatus.SKIPPED, PostbackStatus.DELIVERED)

_COUNT_SECONDS = 15
_ONLY_DELIVERED = (
    "All of these postbacks were delivered, and are sent again only if you ask for that: "
    '"include_delivered": true. Or replay what failed or was skipped.'
)
_LIMIT_TIME = "SELECT set_config('statement_timeout', %s, true)"
_ID_REACH = timedelta(minutes=1)  # a UUIDv7's time and its event's may differ by so much
# What is parked is taken from the queue by a worker within seconds; until then it isn't due.
_PARK_QUEUED = """
UPDATE due_postback AS due SET due_at = now() + interval '30 days'
FROM replayed_postback AS replayed
JOIN replay_part AS part
  ON part.organization_id = replayed.organization_id AND part.id = replayed.part_id
WHERE part.organization_id = %(organization)s AND part.replay_id = %(replay)s
  AND replayed.state = 'queued'
  AND due.organization_id = replayed.organization_id AND due.postback_id = replayed.postback_id
  AND due.kind = 'replay' AND due.claim_id IS NULL AND due.tries = 0
"""


_SKIP_LABELS = {
    "pending": "On its way already",
    "delivered": "Delivered already",
    "rule_off": "Its rule is not active",
    "too_many_attempts": "Tried too often already",
    "never_decided": "Skipped as decided then",
    "not_wanted": "The rule of now does not want its event",
    "credited_anew": "Its install was credited anew; a newer postback stands for it",
    "event_gone": "The event's data are no longer stored",
    "first_time_used": "The rule has sent for this device before",
    "gone": "Its data are no longer stored",
    "not_sent": "It left the queue untried",
}


class ReplayRefusedError(Exception):
    """The replay can't be started so; the message says why, `field` what to correct."""

    def __init__(self, message: str, field_name: str = "filter") -> None:
        super().__init__(message)
        self.field = field_name


class ReplayOverError(Exception):
    """The replay has ended, so there is nothing to cancel."""


class ReplayFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A filter of the delivery log, by public ids; `event_id` may be a postback's own too."""

    status: str | None = None
    reason: str | None = None
    rule: UUID | None = None
    partner: UUID | None = None
    app: UUID | None = None
    event_name: str | None = None
    event_id: UUID | None = None
    code: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[Q]:
        """Return its conditions, apart from the status."""
        equal: dict[str, object] = {
            "reason": self.reason,
            "event_name": self.event_name,
            "event_received_at__gte": self.since,
            "event_received_at__lt": self.until,
            "app_id": _key(App, self.app),
            "rule_id": _key(CallbackRule, self.rule),
        }
        conditions = [Q(**{name: value}) for name, value in equal.items() if value is not None]
        if self.event_id is not None:
            conditions.append(Q(sdk_event_id=self.event_id) | Q(public_id=self.event_id))
        if self.partner is not None:
            rules = CallbackRule.objects.filter(partner__public_id=self.partner)
            conditions.append(Q(rule_id__in=list(rules.values_list("pk", flat=True))))
        if self.code is not None:
            conditions.append(StatusCodes.parse(self.code).condition)
        return conditions


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """What a person asks for: what the filter leaves, or the postbacks with these public ids."""

    filter: ReplayFilter = field(default_factory=ReplayFilter)
    ids: tuple[UUID, ...] = ()
    as_decided: bool = False
    include_delivered: bool = False
    per_second: int = USUAL_PER_SECOND

    @classmethod
    def of(cls, replay: Replay) -> "ReplayRequest":
        return cls(
            filter=msgspec.convert(replay.filter, ReplayFilter),
            ids=tuple(replay.postback_ids),
            as_decided=replay.as_decided,
            include_delivered=replay.include_delivered,
            per_second=replay.per_second,
        )

    def conditions(self) -> list[Q]:
        """Return what a postback must be to be replayed.

        Of those named by id all are looked at, so that each is counted, if only as skipped.
        """
        if self.ids:
            return [Q(test=False, public_id__in=self.ids), *_days_of(self.ids)]
        return [Q(test=False, status__in=self._statuses()), *self.filter.conditions()]

    def digest(self) -> str:
        content = [self.filter, sorted(self.ids), self.as_decided, self.include_delivered]
        return hashlib.sha256(msgspec.json.encode([*content, self.per_second])).hexdigest()

    def _statuses(self) -> list[str]:
        if self.filter.status:
            return [self.filter.status]
        return [each for each in REPLAYABLE if self.sends(each)]

    def sends(self, status: str) -> bool:
        """Return whether postbacks of a status are sent: delivered ones only where asked for."""
        return status in REPLAYABLE and (
            self.include_delivered or status != PostbackStatus.DELIVERED
        )


@dataclass(frozen=True, slots=True)
class RuleEstimate:
    """A rule's share of a replay: postbacks by status, and how long they take at its pace."""

    rule: CallbackRule
    by_status: Mapping[str, int]
    seconds: int

    @property
    def count(self) -> int:
        return sum(self.by_status.values())

    @property
    def remark(self) -> str:
        """Return why its postbacks won't be sent now, empty if they will."""
        if _is_archived(self.rule):
            return "Archived: all are skipped."
        if self.rule.status == RuleStatus.SUSPENDED:
            return "Suspended: they are held until somebody has them sent."
        if self.rule.status != RuleStatus.ACTIVE:
            return "Not active: all are skipped."
        return ""


@dataclass(frozen=True, slots=True)
class ReplayEstimate:
    """What a replay would send. `left_out` are postbacks that were named and can't go again."""

    request: ReplayRequest
    rules: tuple[RuleEstimate, ...]
    left_out: Mapping[str, int]

    @property
    def count(self) -> int:
        return sum(rule.count for rule in self.rules)

    @property
    def delivered(self) -> int:
        return sum(rule.by_status.get(PostbackStatus.DELIVERED, 0) for rule in self.rules)

    @property
    def seconds(self) -> int:
        """Return about how long it takes: rules are worked on at the same time."""
        together = -(-self.count // self.request.per_second)
        return max([together, *(rule.seconds for rule in self.rules)])


def estimate(request: ReplayRequest, *, now: datetime) -> ReplayEstimate:
    """Count what a replay would send. Raises ReplayRefusedError for what is too much."""
    request = replace(request, filter=_until_now(request.filter, now))
    if request.filter.status == PostbackStatus.PENDING:
        raise ReplayRefusedError(
            "Pending postbacks are on their way already; replay failed, skipped or delivered ones.",
            "filter/status",
        )
    counts: dict[int, dict[str, int]] = {}
    left_out: dict[str, int] = {}
    for rule_id, status, count in _count(request):
        if request.sends(status):
            counts.setdefault(rule_id, {})[status] = count
        else:
            left_out[status] = left_out.get(status, 0) + count
    total = sum(sum(by_status.values()) for by_status in counts.values())
    if total > MOST_POSTBACKS:
        raise ReplayRefusedError(
            f"These are {total:,} postbacks; replay at most {MOST_POSTBACKS:,} at once. "
            "Narrow the time, or choose a rule."
        )
    rules = CallbackRule.objects.select_related("partner").filter(pk__in=counts).order_by("name")
    paces = _seconds_per_postback(rules)
    return ReplayEstimate(
        request,
        tuple(
            RuleEstimate(
                rule, counts[rule.pk], round(paces.get(rule.pk, 0) * sum(counts[rule.pk].values()))
            )
            for rule in rules
        ),
        left_out,
    )


@transaction.atomic
def start(request: ReplayRequest, *, now: datetime, confirm: int | None = None) -> Replay:
    """Start a replay in the background; the same request that is running already is that one.

    Where postbacks that were delivered would be sent again, `confirm` must be the count of all
    that the estimate says. Raises ReplayRefusedError.
    """
    fingerprint = request.digest()
    running = Replay.objects.filter(fingerprint=fingerprint, finished_at=None).first()
    if running is not None:
        return running
    expected = estimate(request, now=now)
    if not expected.count and set(expected.left_out) == {PostbackStatus.DELIVERED}:
        raise ReplayRefusedError(_ONLY_DELIVERED, "include_delivered")
    _check_confirmed(expected, confirm)
    replay, is_new = Replay.objects.get_or_create(
        fingerprint=fingerprint,
        finished_at=None,
        defaults={
            "filter": msgspec.to_builtins(expected.request.filter),
            "postback_ids": sorted(request.ids),
            "as_decided": request.as_decided,
            "include_delivered": request.include_delivered,
            "per_second": request.per_second,
            "count": expected.count + sum(expected.left_out.values()),
            "asked_by": current_actor().name[:255],
            "next_at": now,
        },
    )
    if not is_new:
        return replay
    shares = _shares(expected)
    for rule_id, count in shares.items():
        ReplayPart.objects.create(replay=replay, rule_id=rule_id, count=count, due_at=now)
    if not shares:
        replay.finished_at = now
        replay.save(update_fields=["finished_at"])
    log_action(
        Action.REPLAYED,
        replay,
        changes={
            "count": [None, replay.count],
            "filter": [None, {"ids": len(request.ids)} if request.ids else replay.filter],
        },
    )
    return replay


@transaction.atomic
def cancel(replay: Replay, *, now: datetime) -> Replay:
    """Stop a replay at once; a worker takes back what it has queued and nobody has begun.

    Raises ReplayOverError if it has ended.
    """
    list(ReplayPart.objects.select_for_update().filter(replay=replay).order_by("pk"))
    replay = Replay.objects.select_for_update().get(pk=replay.pk)
    if replay.cancelled_at is not None:
        return replay
    if replay.finished_at is not None:
        raise ReplayOverError("The replay has finished; there is nothing left to cancel.")
    replay.cancelled_at = replay.finished_at = now
    replay.save(update_fields=["cancelled_at", "finished_at"])
    parts = ReplayPart.objects.filter(replay=replay)
    parts.filter(finished_at=None, queued=0, held=0).update(finished_at=now)
    parts.filter(Q(queued__gt=0) | Q(held__gt=0)).update(finished_at=None, due_at=now)
    with connection.cursor() as cursor:
        cursor.execute(_PARK_QUEUED, {"organization": replay.organization_id, "replay": replay.pk})
    log_action(Action.REPLAY_CANCELLED, replay)
    return replay


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is: each postback that was looked at is in one of the counts."""

    total: int
    sent: int
    failed: int
    retrying: int
    held: int
    queued: int
    taken_back: int
    skip_reasons: Mapping[str, int]

    @classmethod
    def of(cls, replay: Replay, parts: Sequence[ReplayPart]) -> "ReplayProgress":
        reasons: dict[str, int] = {}
        for part in parts:
            for reason, count in skip_counts(part.skipped).items():
                reasons[reason] = reasons.get(reason, 0) + count
        return cls(
            total=replay.count,
            sent=sum(part.sent for part in parts),
            failed=sum(part.failed for part in parts),
            retrying=sum(part.retrying for part in parts),
            held=sum(part.held for part in parts),
            queued=sum(part.queued for part in parts),
            taken_back=sum(part.taken_back for part in parts),
            skip_reasons=reasons,
        )

    @property
    def skipped(self) -> int:
        return sum(self.skip_reasons.values())

    @property
    def done(self) -> int:
        """Return how many the replay has nothing left to do for, retries aside."""
        return self.sent + self.failed + self.retrying + self.held + self.skipped + self.taken_back

    @property
    def percent(self) -> int:
        return 100 if not self.total else min(100, 100 * self.done // self.total)


def _check_confirmed(expected: ReplayEstimate, confirm: int | None) -> None:
    if confirm is None and not expected.delivered:
        return
    if confirm != expected.count:
        sent = "" if confirm is None else f", not {confirm:,}"
        raise ReplayRefusedError(
            f"{expected.delivered:,} of these {expected.count:,} postbacks were delivered before, "
            f"and their partners would get them again. Confirm that by the count{sent}: "
            f'"confirm": {expected.count}.',
            "confirm",
        )


def _shares(expected: ReplayEstimate) -> dict[int, int]:
    """Return how many postbacks each rule has to look at, those that can't go again included."""
    if expected.left_out:
        rows = Postback.objects.filter(*expected.request.conditions())
        counted = rows.values_list("rule_id").annotate(count=Count("*")).order_by()
        return dict(counted)
    return {rule.rule.pk: rule.count for rule in expected.rules}


def _count(request: ReplayRequest) -> list[tuple[int, str, int]]:
    rows = Postback.objects.filter(*request.conditions())
    groups = rows.values_list("rule_id", "status").annotate(count=Count("*")).order_by()
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('statement_timeout')")
            (usual,) = cursor.fetchone()
            cursor.execute(_LIMIT_TIME, [f"{_COUNT_SECONDS}s"])
            counted = list(groups)
            cursor.execute(_LIMIT_TIME, [usual])
            return counted
    except OperationalError as error:
        if isinstance(error.__cause__, QueryCanceled):
            raise ReplayRefusedError(
                f"These are so many postbacks that counting them takes over {_COUNT_SECONDS} "
                "seconds. Narrow the time, or choose a rule."
            ) from None
        raise


def _seconds_per_postback(rules: Iterable[CallbackRule]) -> dict[int, float]:
    """Return the pace of each rule that limits how many requests it makes a second."""
    current = load_rule_versions([(rule.pk, rule.version) for rule in rules])
    return {
        rule_id: 1 / rate
        for (rule_id, version), rule in current.items()
        if version == rule.current_version and (rate := rule.definition.rate_limit_per_second)
    }


def _until_now(chosen: ReplayFilter, now: datetime) -> ReplayFilter:
    """Return the filter without a future: what comes meanwhile belongs to no replay."""
    until = now if chosen.until is None else min(chosen.until, now)
    return msgspec.structs.replace(chosen, until=until.astimezone(UTC))


def _days_of(ids: Sequence[UUID]) -> list[Q]:
    """Return the span of the postbacks with these ids, so that only its days are read."""
    moments = [id_.int >> 80 for id_ in ids if id_.version == 7]
    if len(moments) < len(ids):
        return []
    try:
        first, last = (
            datetime.fromtimestamp(moment / 1000, UTC) for moment in (min(moments), max(moments))
        )
    except (OverflowError, ValueError):
        return []
    return [Q(event_received_at__range=(first - _ID_REACH, last + _ID_REACH))]


def _is_archived(rule: CallbackRule) -> bool:
    partner = rule.partner
    return rule.status == RuleStatus.ARCHIVED or (
        partner is not None and partner.status == Lifecycle.ARCHIVED
    )


def _key(model: Any, public_id: UUID | None) -> int | None:
    """Return a row's internal id, 0 for one that doesn't exist here, None for none."""
    if public_id is None:
        return None
    keys = model.objects.filter(public_id=public_id).values_list("pk", flat=True)
    return keys.first() or 0


def skip_label(reason: str) -> str:
    """Return in a few words why a replay skips postbacks."""
    return _SKIP_LABELS.get(reason) or dict(SkipReason.choices).get(reason) or reason


def skip_counts(stored: object) -> dict[str, int]:
    """Return how many a part has skipped, by reason."""
    if not isinstance(stored, dict):
        return {}
    return {str(reason): count for reason, count in stored.items() if isinstance(count, int)}
