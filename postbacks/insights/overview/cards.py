"""The figures of a period as cards. Each leads to the rows that it counts."""

from dataclasses import dataclass
from datetime import timedelta

from postbacks.insights import wording
from postbacks.insights.overview.asked import AskedOverview
from postbacks.insights.overview.log_links import events_url, installs_url, list_url, postbacks_url
from postbacks.insights.overview.reading import Overview
from postbacks.models import PostbackStatus

_LATE = timedelta(minutes=1)
_NOTABLE_POINTS = 0.1
_BAD_PERCENT = 95


@dataclass(frozen=True, slots=True)
class FigureCard:
    """One figure. `tone` is "bad", "busy" or empty; `url` is empty where no list shows it."""

    label: str
    figure: str
    note: str
    url: str = ""
    tone: str = ""


def cards(overview: Overview) -> list[FigureCard]:
    """Return the figures in the order in which things happen, each beside the period before."""
    figures, before, scope = overview.figures, overview.before, overview.asked
    return [
        FigureCard(
            "Events received",
            wording.number(figures.events),
            _change(figures.events, before.events, scope),
            "" if scope.only.partner else events_url(scope),
        ),
        FigureCard(
            "Installs", wording.number(figures.installs), _credit(overview), installs_url(scope)
        ),
        FigureCard(
            "Revenue",
            str(overview.revenue),
            _revenue_note(overview),
        ),
        FigureCard(
            "Delivered",
            wording.number(figures.delivered),
            _change(figures.delivered, before.delivered, scope),
            postbacks_url(scope, PostbackStatus.DELIVERED),
        ),
        _success(overview),
        _delivery_time(overview),
        _attempts(overview),
        _pending(overview),
    ]


def _revenue_note(overview: Overview) -> str:
    revenue, before = overview.revenue, overview.revenue_before
    change = _change(round(revenue.amount), round(before.amount), overview.asked)
    return " · ".join(filter(None, (change, revenue.note)))


def _credit(overview: Overview) -> str:
    installs, attributed = overview.figures.installs, overview.figures.attributed
    shares = (
        f"{wording.number(attributed)} attributed, {wording.number(installs - attributed)} organic"
        if attributed
        else ""
    )
    change = _change(installs, overview.before.installs, overview.asked)
    return " · ".join(filter(None, (shares, change)))


def _success(overview: Overview) -> FigureCard:
    success, before = overview.figures.success_percent, overview.before.success_percent
    failed = overview.figures.failed
    if success is None:
        return FigureCard("Success rate", "\N{EN DASH}", "no postback has ended")
    notes = [f"{wording.number(failed)} given up" if failed else "none given up"]
    if before is not None and abs(success - before) >= _NOTABLE_POINTS:
        sign = "+" if success > before else "\N{MINUS SIGN}"
        notes.append(f"{sign}{abs(success - before):.1f} points to {overview.asked.previous_name}")
    return FigureCard(
        "Success rate",
        wording.percent(success),
        " · ".join(notes),
        postbacks_url(overview.asked, PostbackStatus.FAILED) if failed else "",
        tone="bad" if success < _BAD_PERCENT else "",
    )


def _delivery_time(overview: Overview) -> FigureCard:
    median, most, nearly_all = (
        overview.figures.delivery_seconds(share) for share in (0.5, 0.95, 0.99)
    )
    if median is None or most is None or nearly_all is None:
        return FigureCard("Delivery time", "\N{EN DASH}", "nothing delivered yet")
    note = f"median · 95\N{NO-BREAK SPACE}% within {wording.seconds(most)}"
    return FigureCard(
        "Delivery time",
        wording.seconds(median),
        f"{note}, 99\N{NO-BREAK SPACE}% within {wording.seconds(nearly_all)}",
    )


def _attempts(overview: Overview) -> FigureCard:
    attempts = overview.figures.attempts_per_delivery
    if attempts is None:
        return FigureCard("Attempts per delivery", "\N{EN DASH}", "nothing delivered yet")
    total = overview.figures.attempts
    noun = "request was" if total == 1 else "requests were"
    return FigureCard(
        "Attempts per delivery", f"{attempts:.2f}", f"{wording.number(total)} {noun} sent"
    )


def _pending(overview: Overview) -> FigureCard:
    queue = overview.queue
    note, tone = "nothing in the queue", ""
    if queue.oldest_due_at:
        late = overview.now - queue.oldest_due_at
        note = "right now"
        if late > _LATE:
            note, tone = f"the first is {wording.span(late)} late", "busy"
        elif late < -_LATE:
            note = f"next try in {wording.span(-late)}"
    if queue.held:
        of_held = f"{wording.number(queue.held)} wait: their rule is off or suspended"
        if queue.held == 1:
            of_held = "1 waits: its rule is off or suspended"
        note = f"{note} · {of_held}" if queue.waiting else of_held
    url = list_url("postback", status=PostbackStatus.PENDING, time="30d")
    return FigureCard("Pending", wording.number(queue.waiting + queue.held), note, url, tone)


def _change(count: int, before: int, scope: AskedOverview) -> str:
    return wording.change(count, before, scope.previous_name)
