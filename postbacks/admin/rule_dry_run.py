"""What a rule, as its form stands, would have sent for the events that have arrived."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path

from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import Right
from postbacks.admin.rules.trials import TryingPage, to_correct
from postbacks.callbacks.rules.versions import define
from postbacks.models import SkipReason
from postbacks.rulebook.dry_run import NOT_THE_FIRST, DryRun, dry_run

PERIODS = {"1": "the last hour", "24": "the last 24 hours", "168": "the last 7 days"}
_USUAL = "24"

_NOT_FOR_THE_RULE = {
    "app": "Another app's",
    "trigger": "Another event",
    "attribution_scope": "The install was earned by somebody else, or by nobody",
    "window": "Too long after the install, or without one",
    "sampling": "Not in the sample of devices",
    "condition": "A condition does not hold",
    NOT_THE_FIRST: "Not the device's first time",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """A number of events as a share of all of them."""

    title: str
    count: int
    percent: int
    tone: str

    @property
    def shown(self) -> str:
        """Return the number as people read it."""
        return f"{self.count:,}"


@dataclass(frozen=True, slots=True)
class ShownDryRun:
    """What a dry run found, or why there was none."""

    period: str = ""
    refusal: str = ""
    run: DryRun | None = None
    bars: tuple[Bar, ...] = ()

    @property
    def sentence(self) -> str:
        """Return how many there would have been."""
        if self.run is None:
            return ""
        events = "1 event" if self.run.events == 1 else f"{self.run.events:,} events"
        more = "" if self.run.is_complete else " There were more: these are the newest."
        return f"for {events} of {self.period}.{more}"


class DryRunPage(TryingPage):
    """Serves the button “Try on past events”."""

    @property
    def urls(self) -> list[URLPattern]:
        """Return where the button sends the form."""
        view = self.site.admin_view(self.view)
        return [path("dry-run/", view, name="postbacks_callbackrule_dry_run")]

    def view(self, request: HttpRequest) -> HttpResponse:
        """Ask what the form's rule would have sent; nothing is sent or saved."""
        if not allowed(request, Right.SET_UP):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return self.answer(
            request,
            "dry_run_answer.html",
            dry=self._shown(request),
            dry_run_hours=_hours(request),
        )

    def _shown(self, request: HttpRequest) -> ShownDryRun:
        form = self.form_as_sent(request)
        hours = _hours(request)
        if sentence := to_correct(form):
            return ShownDryRun(refusal=sentence)
        since = datetime.now(UTC) - timedelta(hours=int(hours))
        try:
            run = dry_run(define(form.instance), since, rule_id=form.instance.pk)
        except msgspec.ValidationError:
            return ShownDryRun(refusal="Correct the rule first.")
        return ShownDryRun(PERIODS[hours], run=run, bars=tuple(_bars(run)))


def _hours(request: HttpRequest) -> str:
    given = request.POST.get("dry_run_hours", _USUAL)
    return given if given in PERIODS else _USUAL


def _bars(run: DryRun) -> Iterator[Bar]:
    yield _bar(run, "Would be sent", run.owed, "good")
    for reason, count in _largest_first(run.skipped):
        label = SkipReason(reason).label if reason in SkipReason.values else reason
        yield _bar(run, f"Skipped: {label}", count, "busy")
    for code, count in _largest_first(run.not_matched):
        yield _bar(run, _NOT_FOR_THE_RULE.get(code, code), count, "still")


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda it: (-it[1], it[0]))


def _bar(run: DryRun, title: str, count: int, tone: str) -> Bar:
    return Bar(title, count, round(100 * count / max(run.events, 1)), tone)
