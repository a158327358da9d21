"""The story of an install: who might have earned it, who did and why, and what followed."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from postbacks.admin.install_items import (
    ORGANIC,
    Item,
    decision_items,
    event_items,
    install_items,
    postbacks_of,
    touch_item,
)
from postbacks.admin.install_lines import named
from postbacks.admin.installs.touchpoints import SeenTouch, time_between, touches_of
from postbacks.attribution import reasons
from postbacks.insights import wording
from postbacks.models import (
    Attribution,
    Event,
    Install,
    InstallKind,
    InstallState,
    UnsettledInstall,
)

MOST_EVENTS = 50
MOST_TOUCHES = 100


@dataclass(frozen=True, slots=True)
class InstallStory:
    """What the page of an install tells."""

    headline: str
    why: str
    outlook: str
    items: tuple[Item, ...]
    undated: tuple[SeenTouch, ...]
    touches_left_out: int
    has_more_events: bool
    others: tuple[Install, ...]
    decision: Attribution | None
    remarks: tuple[str, ...]


def install_story(install: Install) -> InstallStory:
    """Read what belongs to an install."""
    decisions = list(
        Attribution.objects.filter(install=install)
        .order_by("version")
        .prefetch_related("partner", "campaign")
    )
    touches = touches_of(install, decisions)
    others = list(
        Install.objects.filter(app_id=install.app_id, device=install.device)
        .exclude(pk=install.pk)
        .order_by("number")
    )
    events = _events(install, others)
    postbacks = postbacks_of(install, events[:MOST_EVENTS])
    shown = sorted((it for it in touches if it.at), key=_worth)[:MOST_TOUCHES]
    items = [
        *(touch_item(it, it.at) for it in shown if it.at),
        *install_items(install, postbacks),
        *decision_items(decisions),
        *event_items(events[:MOST_EVENTS], postbacks),
    ]
    return InstallStory(
        headline=headline_of(install),
        why=_why(install, touches),
        outlook=_outlook(install),
        items=tuple(sorted(items, key=lambda it: (it.at, it.rank))),
        undated=tuple(it for it in touches if not it.at),
        touches_left_out=sum(1 for it in touches if it.at) - len(shown),
        has_more_events=len(events) > MOST_EVENTS,
        others=tuple(others),
        decision=decisions[-1] if decisions else None,
        remarks=tuple(reasons.of_remark(it) for it in (decisions[-1].remarks if decisions else ())),
    )


def headline_of(install: Install) -> str:
    """Return whom the install is credited to."""
    if install.attribution_type == ORGANIC or install.partner is None:
        return "Organic"
    return named(install.partner, install.campaign)


def _why(install: Install, touches: Sequence[SeenTouch]) -> str:
    """Return in a sentence or two why it is credited so."""
    if install.attribution_type == ORGANIC:
        if any(it.is_rejected for it in touches):
            return "Nobody earned it: what would have earned it was rejected as fraud."
        if touches:
            return "Nobody earned it: none of the touchpoints below could have led to it."
        return "Nobody earned it: no click and no impression of this device is known."
    if install.kind == InstallKind.REINSTALL:
        return "It came back by itself. Its events are credited to whom the first install was."
    kind = install.attribution_type
    touched = install.touched_at
    when = f" {time_between(touched, install.installed_at)}" if touched else ""
    return f"Its {kind} came{when} and won. {reasons.METHODS.get(install.method, '')}".strip()


def _outlook(install: Install) -> str:
    if install.state == InstallState.FINAL:
        return "Final: nothing that arrives later changes it."
    unsettled = UnsettledInstall.objects.filter(install=install).first()
    if unsettled is None:
        return "Provisional: a touchpoint that arrives late can still change it."
    until = wording.moment(timezone.localtime(unsettled.final_at))
    return f"Provisional until {until}: a touchpoint that arrives late can still change it."


def _worth(touch: SeenTouch) -> tuple[bool, bool, float]:
    """Order touchpoints so that those are kept which people ask about."""
    newest = -touch.at.timestamp() if touch.at else 0.0
    return (touch.verdict != "Won", not touch.is_rejected, newest)


def _events(install: Install, others: Sequence[Install]) -> list[Event]:
    """Return the first events since the install, one more than are shown."""
    if not install.device:
        return []
    since = install.event_received_at
    ends = [it.event_received_at for it in others if it.number > install.number]
    rows = Event.objects.filter(
        app_id=install.app_id, device=install.device, received_at__gte=since
    ).exclude(pk=install.event_ref)
    if ends:
        rows = rows.filter(received_at__lt=min(ends))
    return list(rows.order_by("received_at", "id")[: MOST_EVENTS + 1])
