"""Try a rule on past events beside its form, at once or in the background. Nothing is sent."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path

from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import RIGHT_TO
from postbacks.admin.rules.form import LIVE
from postbacks.admin.rules.trial_pages import TrialPage, corrections_needed, rule_address
from postbacks.callbacks.decisions import FIRST_TIME
from postbacks.callbacks.rules.versions import definition_from
from postbacks.models import DryRunJob, DryRunStatus, SkipReason, WorkerHeartbeat
from postbacks.rulebook import dry_run
from postbacks.rulebook.dry_run import MOST_EVENTS, TIME_BOX_SECONDS, DryRun
from postbacks.values.uuid7 import uuid_or_none

PERIODS = {"1": "the last hour", "24": "the last 24 hours", "168": "the last 7 days"}

_JOB = "job"  # names one that was begun before, in addresses
_USUAL_HOURS = "24"
_NOT_MATCHED = {
    "app": "Another app's",
    "trigger": "Another event",
    "attribution_scope": "The install is another partner's, or organic",
    "window": "Too long after the install, or no install is known",
    "sampling": "Not in the sample of devices",
    "condition": "A condition is not met",
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
    job: DryRunJob | None = None
    bars: tuple[OutcomeBar, ...] = ()

    @property
    def is_running(self) -> bool:
        return self.job is not None and self.job.status == DryRunStatus.RUNNING

    @property
    def waits_for(self) -> str:
        """How far a dry run is that is not over, in a sentence."""
        if self.job is None or not self.is_running:
            return ""
        if self.job.total:
            return f"{self.job.done:,} of {self.job.total:,} events tried."
        return "Waiting for the worker…"

    @property
    def longest_seconds(self) -> str:
        return f"{TIME_BOX_SECONDS:.0f}"

    @property
    def has_no_worker(self) -> bool:
        is_waiting = self.job is not None and self.is_running and not self.job.total
        return is_waiting and not WorkerHeartbeat.is_any_alive()

    @property
    def tried(self) -> str:
        """How far a dry run came, in a sentence."""
        if self.job is None:
            return ""
        if not self.job.done:
            return "No event was tried."
        return f"{self.job.done:,} of {self.job.total:,} events were tried, the oldest first."

    @property
    def is_broken(self) -> bool:
        if self.job is None or self.job.status != DryRunStatus.FINISHED:
            return False
        return self.job.done < self.job.total or not (self.job.total or self.job.is_complete)

    @property
    def lacks_examples(self) -> bool:
        """Whether an erasure took the examples away."""
        if self.job is None or self.run is None or self.is_broken:
            return False
        has_examples = self.job.status in {DryRunStatus.FINISHED, DryRunStatus.OUT_OF_TIME}
        return has_examples and bool(self.run.would_send) and not self.run.examples

    @property
    def sentence(self) -> str:
        if self.run is None:
            return ""
        events = "1 event" if self.run.events == 1 else f"{self.run.events:,} events"
        is_all = self.run.is_complete or (self.job is not None and self.job.done < MOST_EVENTS)
        more = "" if is_all else " There were more: these are the newest."
        return f"for {events} of {self.period}.{more}"


class DryRunPage(TrialPage):
    """Serve the button “Try on past events”."""

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view(self.view)
        return [path("dry-run/", view, name="postbacks_callbackrule_dry_run")]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not allowed(request, RIGHT_TO["dry_run"]):
            raise PermissionDenied
        if _JOB in request.GET:
            return self._follow(request)
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
            run = dry_run.try_or_start(
                definition_from(form.instance), since, rule_id=form.instance.pk
            )
        except msgspec.ValidationError:
            return DryRunView(refusal="Correct the rule first.")
        except dry_run.TooManyDryRunsError as refusal:
            return DryRunView(refusal=str(refusal))
        if isinstance(run, DryRunJob):
            return _job_view(run)
        return DryRunView(PERIODS[hours], run=run, bars=tuple(_bars(run)))

    def _follow(self, request: HttpRequest) -> HttpResponse:
        """Show how far a dry run in the background is, and cancel it on POST."""
        public_id = uuid_or_none(request.GET[_JOB])
        job = DryRunJob.objects.filter(public_id=public_id).first() if public_id else None
        if job is None:
            raise Http404
        if request.method == "POST":
            dry_run.cancel(job)
            job.refresh_from_db()
            if LIVE not in request.POST:
                return HttpResponseRedirect(request.get_full_path())
        view = _job_view(job)
        answer = self.later_answer(
            request,
            "dry_run_answer.html",
            title="Dry run",
            dry=view,
            rule_address=rule_address(job.rule_id),
        )
        if view.is_running:
            answer.headers["Refresh"] = "2"  # without scripts
        return answer


def _job_view(job: DryRunJob) -> DryRunView:
    run = dry_run.outcome_of(job)
    hours = round((job.created_at - job.since) / timedelta(hours=1))
    period = PERIODS.get(str(hours), "the time asked for")
    return DryRunView(period, run=run, job=job, bars=tuple(_bars(run)))


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
