"""Send a test of the rule in the form: the button “Send a test” makes one real request.

A person's session remembers the requests that worked, so that switching the rule on needs no
further question.
"""

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
from postbacks.admin.logs.base import row_address
from postbacks.admin.logs.postback_detail import AttemptView, attempt_view
from postbacks.admin.rules.form import CallbackRuleForm
from postbacks.admin.rules.trials.page import TrialPage, corrections_needed
from postbacks.callbacks.rules.versions import definition_from
from postbacks.delivery.attempt_log import AttemptResult
from postbacks.insights.recent_events import event_by_id
from postbacks.models import CallbackRule
from postbacks.rulebook import test_send
from postbacks.rulebook.test_send import (
    Judgement,
    NotTestableError,
    PreparedTest,
    TooManyTestsError,
    WouldBeSkippedError,
)
from postbacks.rulebook.trial_events import skip_details
from postbacks.web.middleware import own_transactions

EVEN_IF_SKIPPED = "_even_if_skipped"  # the button of the second press
_IN_SESSION = "tested_requests"
_MOST_REMEMBERED = 20


@dataclass(frozen=True, slots=True)
class TestSendView:
    """The result of a test, or the reason why none was sent.

    With `skips` the rule would not send the event: then `may_insist` offers a second press.
    `log_address` is empty where the test was not logged as the saved rule's.
    """

    refusal: str = ""
    judgement: Judgement | None = None
    attempt: AttemptView | None = None
    log_address: str = ""
    skips: tuple[str, ...] = ()
    may_insist: bool = False


class TestSendPage(TrialPage):
    """Serve the button “Send a test”."""

    @property
    def urls(self) -> list[URLPattern]:
        view = own_transactions(self.site.admin_view(self.view))
        return [path("test/", view, name="postbacks_callbackrule_test")]

    def view(self, request: HttpRequest) -> HttpResponse:
        """Send the form's request, with no transaction open, and show the answer."""
        if not allowed(request, Right.RESEND):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with _organization_of(request):
            prepared = self._prepare(request)
        result = test_send.send(prepared) if isinstance(prepared, PreparedTest) else None
        with _organization_of(request):
            if isinstance(prepared, PreparedTest) and result is not None:
                view = _log(request, prepared, result)
            else:
                view = _not_sent(prepared)
            return self.answer(request, "test_answer.html", test=view).render()

    def _prepare(self, request: HttpRequest) -> PreparedTest | WouldBeSkippedError | str:
        """Return the request to send, or say why there is none."""
        form = self.checked_form(request)
        if sentence := corrections_needed(form):
            return sentence
        try:
            return _prepared_test(
                form,
                request.POST.get("preview_event", ""),
                even_if_skipped=EVEN_IF_SKIPPED in request.POST,
            )
        except WouldBeSkippedError as skipped:
            return skipped
        except (NotTestableError, TooManyTestsError) as refusal:
            return str(refusal)
        except msgspec.ValidationError:
            return "Correct the rule first."


def tests_of(request: HttpRequest) -> Mapping[str, str]:
    """Return the requests that this person has seen to work in this session, and when."""
    tests = request.session.get(_IN_SESSION)
    return tests if isinstance(tests, dict) else {}


def remember_tests(request: HttpRequest, rule: CallbackRule) -> None:
    """Record with a rule that was just saved that its request was tested before."""
    tested_at = tests_of(request).get(test_send.proof_of(definition_from(rule)))
    if tested_at is not None:
        test_send.mark_tested(rule, rule.version, at=datetime.fromisoformat(tested_at))


def _not_sent(refusal: WouldBeSkippedError | str | PreparedTest) -> TestSendView:
    if isinstance(refusal, WouldBeSkippedError):
        return TestSendView(
            refusal=str(refusal), skips=skip_details(refusal.reasons), may_insist=True
        )
    return TestSendView(refusal=str(refusal))


def _prepared_test(form: CallbackRuleForm, chosen: str, *, even_if_skipped: bool) -> PreparedTest:
    event = event_by_id(chosen)
    app_id = form.instance.app_id
    if event is not None and app_id is not None and event.app_id != app_id:
        event = None  # the preview shows the sample then, too
    return test_send.prepare_test(
        definition_from(form.instance), event=event, even_if_skipped=even_if_skipped
    )


def _log(request: HttpRequest, prepared: PreparedTest, result: AttemptResult) -> TestSendView:
    """Log the test if the rule is saved as it was tried, and remember one that succeeded."""
    rule = _saved_as_tried(request.GET.get("rule"), prepared)
    address = ""
    if rule is not None:
        address = row_address(test_send.log_test(prepared, result, rule))
    else:
        test_send.audit_unsaved_test(prepared)
    if test_send.is_received(result) and not prepared.skips:
        proof = test_send.proof_of(prepared.definition)
        tests = [*tests_of(request).items(), (proof, datetime.now(UTC).isoformat())]
        request.session[_IN_SESSION] = dict(tests[-_MOST_REMEMBERED:])
    return TestSendView(
        judgement=test_send.judge_test(prepared, result),
        attempt=attempt_view(test_send.attempt_of(result), prepared.definition.timeout_seconds),
        log_address=address,
        skips=skip_details(prepared.skips),
    )


def _saved_as_tried(key: str | None, prepared: PreparedTest) -> CallbackRule | None:
    rule = CallbackRule.objects.filter(pk=key).first() if key else None
    return rule if rule is not None and definition_from(rule) == prepared.definition else None


@contextmanager
def _organization_of(request: HttpRequest) -> Iterator[None]:
    membership = membership_of(request)
    if membership is None:
        raise PermissionDenied
    zone = ZoneInfo(membership.organization.time_zone)
    with tenant(membership.organization_id), timezone.override(zone):
        yield
