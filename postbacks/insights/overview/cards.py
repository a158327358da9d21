"""The figures of the overview, each leading to the rows that it counts."""

from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

from django.urls import reverse

from postbacks.insights import wording
from postbacks.insights.overview.reading import Overview, Volume
from postbacks.models import PostbackStatus

_LATE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FigureCard:
    """One figure. `tone` is "bad", "busy" or empty; `url` is empty where no list shows it."""

    label: str
    figure: str
    note: str
    url: str = ""
    tone: str = ""


def cards(overview: Overview) -> list[FigureCard]:
    """Return the figures in the order in which things happen."""
    volume, total = overview.volume, overview.day.total
    success = total.success_percent
    return [
        FigureCard(
            "Events received",
            wording.number(volume.events),
            wording.change(volume.events, volume.events_before),
            list_url("event", time="24h"),
        ),
        FigureCard(
            "Installs",
            wording.number(volume.installs),
            _credit(volume),
            list_url("install", time="24h"),
        ),
        FigureCard(
            "Postbacks created",
            wording.number(total.total),
            "by your callback rules",
            list_url("postback", time="24h"),
        ),
        FigureCard(
            "Delivered",
            wording.number(total.delivered),
            "" if success is None else f"{wording.percent(success)} success rate",
            list_url("postback", status=PostbackStatus.DELIVERED, time="24h"),
        ),
        _pending(overview),
        FigureCard(
            "Failed",
            wording.number(total.failed),
            "given up" if total.failed else "none given up",
            list_url("postback", status=PostbackStatus.FAILED, time="24h"),
            tone="bad" if total.failed else "",
        ),
        FigureCard(
            "Skipped",
            wording.number(total.skipped),
            "decided not to send" if total.skipped else "",
            list_url("postback", status=PostbackStatus.SKIPPED, time="24h"),
        ),
        _delivery_time(overview),
    ]


def list_url(model: str, **filters: str) -> str:
    """Return the address of the admin's list of a model, filtered."""
    query = f"?{urlencode(filters)}" if filters else ""
    return reverse(f"admin:postbacks_{model}_changelist") + query


def _credit(volume: Volume) -> str:
    organic = volume.installs - volume.attributed
    shares = (
        f"{wording.number(volume.attributed)} attributed, {wording.number(organic)} organic"
        if volume.attributed
        else ""
    )
    change = wording.change(volume.installs, volume.installs_before)
    return " · ".join(filter(None, (shares, change)))


def _pending(overview: Overview) -> FigureCard:
    volume = overview.volume
    note, tone = "nothing in the queue", ""
    if volume.oldest_due_at:
        late = overview.now - volume.oldest_due_at
        note = "right now"
        if late > _LATE:
            note, tone = f"the first is {wording.span(late)} late", "busy"
        elif late < -_LATE:
            note = f"next try in {wording.span(-late)}"
    url = list_url("postback", status=PostbackStatus.PENDING, time="30d")
    return FigureCard("Pending", wording.number(volume.waiting), note, url, tone)


def _delivery_time(overview: Overview) -> FigureCard:
    delivery_time = overview.day.delivery_time
    if delivery_time is None:
        return FigureCard("Delivery time", "\N{EN DASH}", "nothing delivered yet")
    most = f"{wording.percent(95)} within {wording.seconds(delivery_time.most)}"
    return FigureCard("Delivery time", wording.seconds(delivery_time.median), f"median · {most}")
