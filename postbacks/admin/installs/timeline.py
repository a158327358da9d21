"""The story of an install: who might have earned it, who did and why, and what followed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html

from apps_registry.admin_base.theme import Tone
from postbacks.admin.installs.touchpoints import SeenTouch, named, time_between, touches_of
from postbacks.admin.logs.event_detail import revenue_of
from postbacks.admin.logs.postback_detail import StatusBadge, status_badge
from postbacks.attribution import reasons
from postbacks.insights import wording
from postbacks.models import (
    Attribution,
    Event,
    Install,
    InstallKind,
    InstallState,
    Postback,
    UnsettledInstall,
)
from postbacks.values.attribution import ORGANIC

# FOLDED from install_items.py

_MOMENT = timedelta(milliseconds=1)
_CAUSES = {
    "install": "The first decision, made when the app was opened first.",
    "reinstall": "The device came back by itself.",
    "reattribution": "The device came back, and a touchpoint led it there.",
    "upgrade": "A touchpoint that was not known before counts more.",
    "fraud": "What had won turned out to be fraud.",
    "doubt": "What had won was a guess, and another device has shown up behind its address.",
    "original": "The first install of this device is credited to somebody else now.",
}


@dataclass(frozen=True, slots=True)
class Told:
    """A postback below its event: to whom, and where it stands."""

    postback: Postback
    standing: StatusBadge


Postbacks = Mapping[int | None, Sequence[Told]]


@dataclass(frozen=True, slots=True)
class Item:
    """One entry of the timeline. Of those at the same moment a smaller `rank` comes first."""

    at: datetime
    rank: int
    label: str
    title: str
    tone: Tone = Tone.STILL
    url: str = ""
    notes: tuple[str, ...] = ()
    touch: SeenTouch | None = None
    postbacks: tuple[Told, ...] = ()


def touch_item(touch: SeenTouch, at: datetime) -> Item:
    """Return a touchpoint with what became of it."""
    campaign = touch.row.campaign if touch.row else None
    url = reverse("admin:apps_registry_campaign_change", args=[campaign.pk]) if campaign else ""
    known = f"recognized by {touch.method}" if touch.method else ""
    facts = " · ".join(filter(None, (touch.before, known)))
    return Item(
        at=at,
        rank=0,
        label=touch.kind.replace("_", " ").capitalize(),
        title=touch.whose,
        tone=touch.tone,
        url=url,
        notes=tuple(filter(None, (touch.sentence, facts))),
        touch=touch,
    )


def install_items(install: Install, postbacks: "Postbacks") -> Iterator[Item]:
    """Yield the download, where the store tells of it, and the opening with whom it was told to."""
    if install.install_begin_at:
        notes = ("As the store tells. A click after this moment can't have led to the install.",)
        yield Item(install.install_begin_at, 1, "Store", "The download began", notes=notes)
    yield Item(
        install.installed_at,
        2,
        str(install.get_kind_display()),
        "The app was opened for the first time"
        if install.kind == InstallKind.INSTALL
        else "The app was opened again after it had been away",
        Tone.INFO,
        reverse("admin:postbacks_event_change", args=[install.event_ref]),
        postbacks=tuple(postbacks.get(install.event_ref, ())),
    )


def decision_items(decisions: Sequence[Attribution]) -> Iterator[Item]:
    """Yield the decisions, and what each changed."""
    before: str = ""
    for decision in decisions:
        whose = _whose(decision)
        is_change = decision.version > 1
        title = format_html("Credited to {}", whose) if whose else "Organic"
        cause = _CAUSES.get(decision.cause, decision.cause.replace("_", " ").capitalize())
        was = format_html("Before, it was {}.", before) if is_change and before else ""
        yield Item(
            decision.decided_at,
            3,
            "Changed" if is_change else "Decided",
            title,
            Tone.BUSY if is_change else Tone.GOOD if whose else Tone.STILL,
            notes=tuple(filter(None, (cause, was))),
        )
        before = format_html("credited to {}", whose) if whose else "organic"


def _whose(decision: Attribution) -> str:
    names = (decision.partner, decision.campaign) if decision.type != ORGANIC else ()
    return named(*names, between=", ")


def event_items(events: Sequence[Event], postbacks: "Postbacks") -> Iterator[Item]:
    """Yield the events, each with whom it was told to."""
    for event in events:
        yield Item(
            event.received_at,
            4,
            "Event",
            event.event_name,
            Tone.INFO,
            reverse("admin:postbacks_event_change", args=[event.pk]),
            notes=tuple(filter(None, (revenue_of(event),))),
            postbacks=tuple(postbacks.get(event.pk, ())),
        )


def postbacks_of(install: Install, events: Sequence[Event]) -> "Postbacks":
    """Return what partners were told of an install and its events, by our number of the event.

    They are read from no more days than the events have.
    """
    moments = [install.event_received_at, *(event.received_at for event in events)]
    days = (min(moments), max(moments) + _MOMENT)
    keys = [install.event_ref, *(event.pk for event in events)]
    rows = Postback.objects.filter(event_received_at__range=days, event_id__in=keys, test=False)
    found: dict[int | None, list[Told]] = {}
    for postback in rows.prefetch_related("rule__partner").order_by("id"):
        found.setdefault(postback.event_id, []).append(Told(postback, status_badge(postback)))
    return found


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
    if install.attribution_type == ORGANIC or install.partner is None:
        return "Organic"
    return named(install.partner, install.campaign)


def _why(install: Install, touches: Sequence[SeenTouch]) -> str:
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
    until = wording.format_moment(timezone.localtime(unsettled.final_at))
    return f"Provisional until {until}: a touchpoint that arrives late can still change it."


def _worth(touch: SeenTouch) -> tuple[bool, bool, float]:
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
