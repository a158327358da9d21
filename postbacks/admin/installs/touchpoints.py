"""The touchpoints that were looked at for an install, as the decisions about it tell of them.

A decision's JSON outlives what it tells of: names may be erased, touchpoints long gone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import Tone
from postbacks.admin.logs.columns import type_of
from postbacks.insights import wording
from postbacks.models import Attribution, Install, InstallState, Touchpoint
from postbacks.values.attribution import ORGANIC

# FOLDED from install_lines.py


@dataclass(frozen=True, slots=True)
class InstallLine:
    """An install, and whom it is credited to."""

    install: Install
    type: str
    tone: Tone
    whose: SafeString
    is_provisional: bool

    @classmethod
    def of(cls, install: Install) -> "InstallLine":
        """Return the line of an install."""
        is_organic = install.attribution_type == ORGANIC
        return cls(
            install=install,
            type=type_of(install),
            tone=Tone.STILL if is_organic else Tone.GOOD,
            whose=named(install.partner, install.campaign),
            is_provisional=install.state == InstallState.PROVISIONAL,
        )


def named(*names: object, between: str = " · ") -> SafeString:
    """Return names beside each other, none of which turns its neighbors around."""
    return format_html_join(between, "<bdi>{}</bdi>", ((name,) for name in names if name))


WON = "won"
_REJECTED = "rejected"
_NEAR = timedelta(hours=1)  # between the id of a touchpoint, which is a time, and its arrival
_LATEST = 4_102_444_800_000  # the year 2100; a later one is no id of ours
_METHODS = {
    "referrer": "the Play Store's install referrer",
    "claim": "the network's own claim",
    "advertising_id": "the same advertising ID",
    "click_id": "its click ID",
    "vendor_id": "the same vendor ID",
    "own_id": "the ID that the SDK made",
    "probabilistic": "the same address and kind of device, a guess",
}


@dataclass(frozen=True, slots=True)
class SeenTouch:
    """One touchpoint and what became of it. `row` is there as long as the touchpoint is kept."""

    kind: str
    at: datetime | None
    partner: str
    campaign: str
    reason: str
    sentence: str
    method: str
    before: str
    is_rejected: bool
    row: Touchpoint | None

    @property
    def verdict(self) -> str:
        return "Rejected" if self.is_rejected else "Won" if self.reason == WON else "Lost"

    @property
    def tone(self) -> Tone:
        if self.is_rejected:
            return Tone.BAD
        return Tone.GOOD if self.reason == WON else Tone.STILL

    @property
    def whose(self) -> str:
        return named(self.partner, self.campaign) or "A partner since erased"


def touches_of(install: Install, decisions: Sequence[Attribution]) -> list[SeenTouch]:
    """Return every touchpoint that a decision tells of, by what the last one says of it."""
    told: dict[str, tuple[Mapping[str, Any], bool]] = {}
    for decision in decisions:
        for row in rows_of(decision.candidates):
            told[_text(row, "touchpoint") or str(len(told))] = (row, False)
        for row in rows_of(decision.rejections):
            told[_text(row, "touchpoint") or str(len(told))] = (row, True)
    kept = {str(it.public_id): it for it in _kept(told)}
    return [
        _seen(install, row, kept.get(key), is_rejected=is_rejected)
        for key, (row, is_rejected) in told.items()
    ]


def rows_of(stored: object) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a JSON list; nothing of what was erased."""
    for row in stored if isinstance(stored, list) else ():
        if isinstance(row, Mapping):
            yield row


def time_between(first: datetime, second: datetime) -> str:
    """Return how long after a moment another one came: 2 h before the install."""
    seconds = (second - first).total_seconds()
    if abs(seconds) < 1:
        return "at the moment of the install"
    side = "before" if seconds > 0 else "after"
    return f"{wording.seconds(abs(seconds))} {side} the install"


def _seen(
    install: Install, row: Mapping[str, Any], kept: Touchpoint | None, *, is_rejected: bool
) -> SeenTouch:
    at = _moment(row) or (kept.occurred_at if kept else None)
    reason = _text(row, "reason")
    method = _text(row, "method")
    return SeenTouch(
        kind=_text(row, "kind") or (kept.kind if kept else "touchpoint"),
        at=at,
        partner=_text(row, "partner"),
        campaign=_text(row, "campaign"),
        reason=reason,
        sentence=_text(row, "sentence"),
        method=_METHODS.get(method, method.replace("_", " ")),
        before=time_between(at, install.installed_at) if at else "",
        is_rejected=is_rejected or reason.startswith(_REJECTED),
        row=kept,
    )


def _kept(ids: Iterable[str]) -> list[Touchpoint]:
    """Return the touchpoints that are still there; their ids tell in which days to look."""
    known = [found for text in ids if (found := _uuid(text))]
    moments = sorted(it for one in known if (it := _moment_of(one)))
    if not moments:
        return []
    days = Q(received_at__range=(moments[0] - _NEAR, moments[-1] + _NEAR))
    rows = Touchpoint.objects.filter(days, public_id__in=known)
    return list(rows.prefetch_related("campaign", "partner", "link"))


def _moment_of(public_id: UUID) -> datetime | None:
    milliseconds = public_id.int >> 80
    if public_id.version != 7 or milliseconds > _LATEST:
        return None
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _moment(row: Mapping[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(row, "occurred_at"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
