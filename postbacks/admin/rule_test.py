"""A real request of a rule as its form stands, and what came back, beside the preview."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.urls import URLPattern, path
from django.utils import timezone

from apps_registry.admin_base.permissions import allowed, membership_of
from apps_registry.roles import Right
from apps_registry.tenancy import tenant
from postbacks.admin.logs.base import address_of
from postbacks.admin.logs.postback_detail import AttemptShown, shown_attempt
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.trials import TryingPage, to_correct
from postbacks.callbacks.rules.versions import define
from postbacks.delivery.attempt_log import Finished
from postbacks.insights.recent_events import event_by_id
from postbacks.models import CallbackRule
from postbacks.rulebook import test_send
from postbacks.rulebook.test_send import Judgement, NotTestableError, TooManyTestsError, Trial
from postbacks.web.middleware import own_transactions

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
        """Return where the button sends the form."""
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
        """Return what is to be sent, or a sentence that says why nothing is."""
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
    return test_send.draw_up(define(form.instance), event=event)


def _written_down(request: HttpRequest, trial: Trial, finished: Finished) -> ShownTest:
    """Log the test of a rule that is saved as it was tried; remember any that succeeded."""
    rule = _saved(request.GET.get("rule"), trial)
    address = ""
    if rule is not None:
        address = address_of(test_send.write_down(trial, finished, rule))
    else:
        test_send.note_unsaved(trial)
    if test_send.is_received(finished):
        known = [*tests_of(request).items(), (_proof(trial), datetime.now(UTC).isoformat())]
        request.session[_IN_SESSION] = dict(known[-_MOST_REMEMBERED:])
    return ShownTest(
        judgement=test_send.judge_test(trial, finished),
        tried=shown_attempt(test_send.attempt_of(finished), trial.definition.timeout_seconds),
        log_address=address,
    )


def _saved(key: str | None, trial: Trial) -> CallbackRule | None:
    """Return the rule if what it says in the database is what was tried."""
    rule = CallbackRule.objects.filter(pk=key).first() if key else None
    return rule if rule is not None and define(rule) == trial.definition else None


def _proof(trial: Trial) -> str:
    return test_send.proof_of(trial.definition)


def tests_of(request: HttpRequest) -> Mapping[str, str]:
    """Return the requests that this person has seen to work in this session, and when."""
    known = request.session.get(_IN_SESSION)
    return known if isinstance(known, dict) else {}


def remember_tests(request: HttpRequest, rule: CallbackRule) -> None:
    """Remember with a rule that was just saved that what it sends was tested before."""
    at = tests_of(request).get(test_send.proof_of(define(rule)))
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
