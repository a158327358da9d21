"""The entries of an install's timeline, each made of one row or one touchpoint."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.html import format_html

from apps_registry.admin_base.theme import Tone
from postbacks.admin.install_lines import named
from postbacks.admin.installs.touchpoints import SeenTouch
from postbacks.admin.logs.event_detail import revenue_of
from postbacks.admin.postback_words import Standing, standing_of
from postbacks.models import Attribution, Event, Install, InstallKind, Postback

ORGANIC = "organic"
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
    standing: Standing


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
        found.setdefault(postback.event_id, []).append(Told(postback, standing_of(postback)))
    return found
