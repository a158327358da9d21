"""The touchpoints that were considered for an install, as its decisions stored them.

A decision's JSON outlives its touchpoints: names may be erased, and rows long gone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.html import format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.theme import Tone
from postbacks.admin.logs.columns import attribution_label
from postbacks.attribution import matching
from postbacks.attribution.reasons import WON
from postbacks.insights import wording
from postbacks.insights.searched_id import touchpoints_of
from postbacks.insights.touchpoint_outcomes import TouchpointStatus, judged_touchpoints
from postbacks.models import Attribution, Install, InstallState, Touchpoint
from postbacks.values.attribution import ORGANIC
from postbacks.values.uuid7 import uuid_or_none

# Their sentences have the time to the install, where they have figures.
_ABOUT_TIME_TO_INSTALL = frozenset({"out_of_window", "after_install"})


@dataclass(frozen=True, slots=True)
class InstallRow:
    """An install with its credit as one row of a list."""

    install: Install
    type: str
    tone: Tone
    whose: SafeString
    device: str
    is_provisional: bool
    test_device: str = ""

    @classmethod
    def of(cls, install: Install, test_device: str = "") -> "InstallRow":
        is_organic = install.attribution_type == ORGANIC
        return cls(
            install=install,
            type=attribution_label(install),
            tone=Tone.STILL if is_organic else Tone.GOOD,
            whose=joined_names(install.partner, install.campaign),
            device=wording.device(install.device),
            is_provisional=install.state == InstallState.PROVISIONAL,
            test_device=test_device,
        )


def joined_names(*names: object, between: str = " · ") -> SafeString:
    """Return names beside each other, each isolated in its own writing direction."""
    return format_html_join(between, "<bdi>{}</bdi>", ((name,) for name in names if name))


_METHODS = {
    matching.REFERRER: "the Play Store's install referrer",
    matching.STORE_CLAIM: "the network's own claim",
    matching.ADVERTISING_ID: "the same advertising ID",
    matching.DEEP_LINK: "its click ID",
    matching.VENDOR_ID: "the same vendor ID",
    matching.OWN_ID: "the ID that the SDK made",
    matching.PROBABILISTIC: "the same address and kind of device (probabilistic)",
}


@dataclass(frozen=True, slots=True)
class TouchpointView:
    """One touchpoint with its verdict; `row` is None once the touchpoint is deleted."""

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
    def is_winner(self) -> bool:
        return self.reason == WON and not self.is_rejected

    @property
    def verdict(self) -> str:
        return "Rejected" if self.is_rejected else "Won" if self.is_winner else "Lost"

    @property
    def tone(self) -> Tone:
        if self.is_rejected:
            return Tone.BAD
        return Tone.GOOD if self.is_winner else Tone.STILL

    @property
    def whose(self) -> str:
        return joined_names(self.partner, self.campaign) or "A partner since erased"


def touchpoint_views(install: Install, decisions: Sequence[Attribution]) -> list[TouchpointView]:
    """Return every touchpoint that a decision names, as the latest one judged it."""
    judged: dict[str, tuple[Mapping[str, Any], TouchpointStatus]] = {}
    for decision in decisions:
        for row, status in judged_touchpoints(decision):
            judged[_text(row, "touchpoint") or str(len(judged))] = (row, status)
    stored = {str(touchpoint.public_id): touchpoint for touchpoint in _stored(judged)}
    return [_view(install, row, stored.get(key), status) for key, (row, status) in judged.items()]


def time_between(touched: datetime, installed: datetime) -> str:
    """Return the time between a touchpoint and its install: 2 h before the install."""
    seconds = (installed - touched).total_seconds()
    if abs(seconds) < 1:
        return "at the moment of the install"
    side = "before" if seconds > 0 else "after"
    return f"{wording.seconds(abs(seconds))} {side} the install"


def _view(
    install: Install, row: Mapping[str, Any], stored: Touchpoint | None, status: TouchpointStatus
) -> TouchpointView:
    at = _moment(row) or (stored.occurred_at if stored else None)
    reason = _text(row, "reason")
    method = _text(row, "method")
    is_said = "measured" in row and reason in _ABOUT_TIME_TO_INSTALL
    return TouchpointView(
        kind=_text(row, "kind") or (stored.kind if stored else "touchpoint"),
        at=at,
        partner=_text(row, "partner"),
        campaign=_text(row, "campaign"),
        reason=reason,
        sentence=_text(row, "sentence"),
        method=_METHODS.get(method, method.replace("_", " ")),
        before=time_between(at, install.installed_at) if at and not is_said else "",
        is_rejected=status == TouchpointStatus.REJECTED,
        row=stored,
    )


def _stored(texts: Iterable[str]) -> list[Touchpoint]:
    """Return the touchpoints that still exist."""
    rows = touchpoints_of([public_id for text in texts if (public_id := uuid_or_none(text))])
    return list(rows.prefetch_related("campaign", "partner", "link"))


def _text(row: Mapping[str, Any], name: str) -> str:
    value = row.get(name)
    return value if isinstance(value, str) else ""


def _moment(row: Mapping[str, Any]) -> datetime | None:
    try:
        moment = datetime.fromisoformat(_text(row, "occurred_at"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
