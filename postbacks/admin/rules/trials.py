"""What is tried beside a rule's form: asked of the form as it stands, and shown next to it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from django.contrib.admin import AdminSite
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.roles import Right
from apps_registry.tenancy import tenant
from postbacks.admin.logs.base import address_of
from postbacks.admin.logs.postback_detail import AttemptShown, attempt_view
from postbacks.admin.rules.form import LIVE, PREVIEW, CallbackRuleForm
from postbacks.callbacks.rules.versions import definition_from
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.insights.recent_events import event_by_id
from postbacks.models import CallbackRule, SkipReason
from postbacks.rulebook import test_send
from postbacks.rulebook.dry_run import NOT_THE_FIRST, DryRun, dry_run
from postbacks.rulebook.test_send import Judgement, NotTestableError, TooManyTestsError, Trial
from postbacks.web.middleware import own_transactions

# FOLDED from rule_dry_run.py

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
class HourBar:
    """A number of events as a share of all of them."""

    title: str
    count: int
    percent: int
    tone: str

    @property
    def shown(self) -> str:
        return f"{self.count:,}"


@dataclass(frozen=True, slots=True)
class ShownDryRun:
    """What a dry run found, or why there was none."""

    period: str = ""
    refusal: str = ""
    run: DryRun | None = None
    bars: tuple[HourBar, ...] = ()

    @property
    def sentence(self) -> str:
        if self.run is None:
            return ""
        events = "1 event" if self.run.events == 1 else f"{self.run.events:,} events"
        more = "" if self.run.is_complete else " There were more: these are the newest."
        return f"for {events} of {self.period}.{more}"


class RuleFormPages(Protocol):
    """The admin of rules, as far as trials need it."""

    admin_site: AdminSite

    def form_as_sent(self, request: HttpRequest) -> tuple[CallbackRule | None, CallbackRuleForm]:
        """Return the form that is being written, and the saved rule that it changes, if any."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None,
        form_url: str,
        extra_context: dict[str, object] | None,
    ) -> HttpResponse:
        """Return the page of the form."""


class TryingPage:
    """Serves one thing to try. A script gets a piece of a page, everybody else the page itself."""

    def __init__(self, model_admin: RuleFormPages) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site

    def form_as_sent(self, request: HttpRequest) -> CallbackRuleForm:
        """Return the form, checked; it is looked at, never saved."""
        if LIVE not in request.POST:
            given = request.POST.copy()
            given[PREVIEW] = "1"
            request.POST = given  # type: ignore[assignment]  # immutable only by custom
        _, form = self.model_admin.form_as_sent(request)
        form.is_valid()
        return form

    def answer(self, request: HttpRequest, piece: str, **found: object) -> TemplateResponse:
        """Return what was found: alone, or in the page with the form as it was sent."""
        if LIVE in request.POST:
            return TemplateResponse(request, f"admin/postbacks/callbackrule/{piece}", found)
        key = request.GET.get("rule")
        address = (
            reverse("admin:postbacks_callbackrule_change", args=[key])
            if key
            else reverse("admin:postbacks_callbackrule_add")
        )
        page = self.model_admin.changeform_view(request, key, address, found)
        assert isinstance(page, TemplateResponse)  # noqa: S101  # a form that is looked at stays
        return page


class DryRunPage(TryingPage):
    """Serves the button “Try on past events”."""

    @property
    def urls(self) -> list[URLPattern]:
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
            run = dry_run(definition_from(form.instance), since, rule_id=form.instance.pk)
        except msgspec.ValidationError:
            return ShownDryRun(refusal="Correct the rule first.")
        return ShownDryRun(PERIODS[hours], run=run, bars=tuple(_bars(run)))


def _hours(request: HttpRequest) -> str:
    given = request.POST.get("dry_run_hours", _USUAL)
    return given if given in PERIODS else _USUAL


def _bars(run: DryRun) -> Iterator[HourBar]:
    yield _bar(run, "Would be sent", run.owed, "good")
    for reason, count in _largest_first(run.skipped):
        label = SkipReason(reason).label if reason in SkipReason.values else reason
        yield _bar(run, f"Skipped: {label}", count, "busy")
    for code, count in _largest_first(run.not_matched):
        yield _bar(run, _NOT_FOR_THE_RULE.get(code, code), count, "still")


def _largest_first(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda it: (-it[1], it[0]))


def _bar(run: DryRun, title: str, count: int, tone: str) -> HourBar:
    return HourBar(title, count, round(100 * count / max(run.events, 1)), tone)


# FOLDED from rule_test.py

_IN_SESSION = "tested_requests"

_MOST_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class ShownTest:
    """What came of a test, or why none was made. Without `log_address` it stands in no log."""

    refusal: str = ""
    judgement: Judgement | None = None
    tried: AttemptShown | None = None
    log_address: str = ""


class TestSendPage(TryingPage):
    """Serves the button “Send a test”."""

    @property
    def urls(self) -> list[URLPattern]:
        view = own_transactions(self.site.admin_view(self.view))
        return [path("test/", view, name="postbacks_callbackrule_test")]

    def view(self, request: HttpRequest) -> HttpResponse:
        """Send the request that the form makes, between two transactions, and show the answer."""
        if not allowed(request, Right.RESEND):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with _organization_of(request):
            made = self._draw_up(request)
        finished = test_send.send(made) if isinstance(made, Trial) else None
        with _organization_of(request):
            if isinstance(made, Trial) and finished is not None:
                shown = _written_down(request, made, finished)
            else:
                shown = ShownTest(refusal=str(made))
            return self.answer(request, "test_answer.html", test=shown).render()

    def _draw_up(self, request: HttpRequest) -> Trial | str:
        form = self.form_as_sent(request)
        if sentence := to_correct(form):
            return sentence
        try:
            return _trial_of(form, request.POST.get("preview_event", ""))
        except (NotTestableError, TooManyTestsError) as refusal:
            return str(refusal)
        except msgspec.ValidationError:
            return "Correct the rule first."


def _trial_of(form: CallbackRuleForm, chosen: str) -> Trial:
    event = event_by_id(chosen)
    app_id = form.instance.app_id
    if event is not None and app_id is not None and event.app_id != app_id:
        event = None  # the preview shows the sample then, too
    return test_send.prepare_test(definition_from(form.instance), event=event)


def _written_down(request: HttpRequest, trial: Trial, finished: AttemptResult) -> ShownTest:
    """Log the test of a rule that is saved as it was tried; remember any that succeeded."""
    rule = _saved(request.GET.get("rule"), trial)
    address = ""
    if rule is not None:
        address = address_of(test_send.log_test(trial, finished, rule))
    else:
        test_send.audit_unsaved_test(trial)
    if test_send.is_received(finished):
        known = [*tests_of(request).items(), (_proof(trial), datetime.now(UTC).isoformat())]
        request.session[_IN_SESSION] = dict(known[-_MOST_REMEMBERED:])
    return ShownTest(
        judgement=test_send.judge_test(trial, finished),
        tried=attempt_view(test_send.attempt_of(finished), trial.definition.timeout_seconds),
        log_address=address,
    )


def _saved(key: str | None, trial: Trial) -> CallbackRule | None:
    rule = CallbackRule.objects.filter(pk=key).first() if key else None
    return rule if rule is not None and definition_from(rule) == trial.definition else None


def _proof(trial: Trial) -> str:
    return test_send.proof_of(trial.definition)


def tests_of(request: HttpRequest) -> Mapping[str, str]:
    """Return the requests that this person has seen to work in this session, and when."""
    known = request.session.get(_IN_SESSION)
    return known if isinstance(known, dict) else {}


def remember_tests(request: HttpRequest, rule: CallbackRule) -> None:
    """Remember with a rule that was just saved that what it sends was tested before."""
    at = tests_of(request).get(test_send.proof_of(definition_from(rule)))
    if at is not None:
        test_send.remember(rule, rule.version, at=datetime.fromisoformat(at))


@contextmanager
def _organization_of(request: HttpRequest) -> Iterator[None]:
    membership = membership_of(request)
    if membership is None:
        raise PermissionDenied
    zone = ZoneInfo(membership.organization.time_zone)
    with tenant(membership.organization_id), timezone.override(zone):
        yield


_NOT_NEEDED = {"name"}  # what is tried need not have one yet


def to_correct(form: CallbackRuleForm) -> str:
    """Return which fields must be corrected before anything can be tried, "" for none."""
    wrong = [name for name in form.errors if name not in _NOT_NEEDED]
    labels = [str(form.fields[it].label) if it in form.fields else "the rule" for it in wrong]
    return f"Correct first: {', '.join(labels)}." if wrong else ""
