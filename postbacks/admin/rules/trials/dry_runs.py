"""Try a rule on past events: the button “Try on past events” sends and saves nothing."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path

from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import Right
from postbacks.admin.rules.trials.page import TrialPage, corrections_needed
from postbacks.callbacks.decisions import FIRST_TIME
from postbacks.callbacks.rules.versions import definition_from
from postbacks.models import SkipReason
from postbacks.rulebook.dry_run import DryRun, dry_run

PERIODS = {"1": "the last hour", "24": "the last 24 hours", "168": "the last 7 days"}

_USUAL_HOURS = "24"
_NOT_MATCHED = {
    "app": "Another app's",
    "trigger": "Another event",
    "attribution_scope": "The install was earned by somebody else, or by nobody",
    "window": "Too long after the install, or without one",
    "sampling": "Not in the sample of devices",
    "condition": "A condition does not hold",
    FIRST_TIME: "Not the device's first time",
}


@dataclass(frozen=True, slots=True)
class OutcomeBar:
    """The number of events with one outcome, and its share of all events."""

    title: str
    count: int
    percent: int
    tone: str

    @property
    def count_label(self) -> str:
        return f"{self.count:,}"


@dataclass(frozen=True, slots=True)
class DryRunView:
    """The result of a dry run, or the reason why there was none."""

    period: str = ""
    refusal: str = ""
    run: DryRun | None = None
    bars: tuple[OutcomeBar, ...] = ()

    @property
    def sentence(self) -> str:
        if self.run is None:
            return ""
        events = "1 event" if self.run.events == 1 else f"{self.run.events:,} events"
        more = "" if self.run.is_complete else " There were more: these are the newest."
        return f"for {events} of {self.period}.{more}"


class DryRunPage(TrialPage):
    """Serve the button “Try on past events”."""

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view(self.view)
        return [path("dry-run/", view, name="postbacks_callbackrule_dry_run")]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not allowed(request, Right.SET_UP):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        return self.answer(
            request,
            "dry_run_answer.html",
            dry=self._run(request),
            dry_run_hours=_hours(request),
        )

    def _run(self, request: HttpRequest) -> DryRunView:
        form = self.checked_form(request)
        hours = _hours(request)
        if sentence := corrections_needed(form):
            return DryRunView(refusal=sentence)
        since = datetime.now(UTC) - timedelta(hours=int(hours))
        try:
            run = dry_run(definition_from(form.instance), since, rule_id=form.instance.pk)
        except msgspec.ValidationError:
            return DryRunView(refusal="Correct the rule first.")
        return DryRunView(PERIODS[hours], run=run, bars=tuple(_bars(run)))


def _hours(request: HttpRequest) -> str:
    hours = request.POST.get("dry_run_hours", _USUAL_HOURS)
    return hours if hours in PERIODS else _USUAL_HOURS


def _bars(run: DryRun) -> Iterator[OutcomeBar]:
    yield _bar(run, "Would be sent", run.would_send, "good")
    for reason, count in _largest_first(run.skipped):
        label = SkipReason(reason).label if reason in SkipReason.values else reason
        yield _bar(run, f"Skipped: {label}", count, "busy")
    for code, count in _largest_first(run.not_matched):
        yield _bar(run, _NOT_MATCHED.get(code, code), count, "still")


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))


def _bar(run: DryRun, title: str, count: int, tone: str) -> OutcomeBar:
    return OutcomeBar(title, count, round(100 * count / max(run.events, 1)), tone)
