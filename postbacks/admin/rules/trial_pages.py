"""Try a rule out beside its form: what every trial does, and “Send a test”.

The form is read as it stands, and nothing of it is saved. A test makes one real request; a
person's session remembers the requests that worked, so that switching the rule on needs no further
question.
"""

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
from apps_registry.roles import RIGHT_TO
from apps_registry.tenancy import tenant
from postbacks.admin.logs.base import row_address
from postbacks.admin.logs.postback_detail import AttemptView, attempt_view
from postbacks.admin.rules.form import LIVE, PREVIEW, CallbackRuleForm
from postbacks.callbacks.rules.versions import definition_from
from postbacks.insights.recent_events import event_by_id
from postbacks.models import CallbackRule, TestSend
from postbacks.rulebook import test_send
from postbacks.rulebook.test_send import (
    Judgement,
    NotTestableError,
    NoWorkerError,
    PreparedTest,
    TooManyTestsError,
    WouldBeSkippedError,
)
from postbacks.rulebook.trial_events import skip_details
from postbacks.values.uuid7 import uuid_or_none
from postbacks.web.middleware import own_transactions

EVEN_IF_SKIPPED = "_even_if_skipped"  # the button of the second press

_TEMPLATES = "admin/postbacks/callbackrule"
_TEST = "test"  # names one that was begun before, in addresses
_LATE = timedelta(seconds=5)
_OLD_TEST = "The answers to tests are kept here for a minute. Send the test again."
_MAY_BE_MISSING = {"name"}  # a rule can be tried before it has one
_IN_SESSION = "tested_requests"
_MOST_REMEMBERED = 20


class RuleFormPages(Protocol):
    """The admin of rules, as far as trials need it."""

    admin_site: AdminSite

    def form_as_sent(self, request: HttpRequest) -> tuple[CallbackRule | None, CallbackRuleForm]:
        """Return the saved rule that is being changed, if any, and its form with the sent data."""

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None,
        form_url: str,
        extra_context: dict[str, object] | None,
    ) -> HttpResponse:
        """Return the page of the form."""


class TrialPage:
    """Serve one kind of trial: to a script a piece of a page, to everybody else the page itself."""

    def __init__(self, model_admin: RuleFormPages) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site

    def checked_form(self, request: HttpRequest) -> CallbackRuleForm:
        """Return the form with its errors; it is only looked at, never saved."""
        if LIVE not in request.POST:
            data = request.POST.copy()
            data[PREVIEW] = "1"
            request.POST = data  # type: ignore[assignment]  # immutable only by custom
        _, form = self.model_admin.form_as_sent(request)
        form.is_valid()
        return form

    def answer(self, request: HttpRequest, piece: str, **context: object) -> TemplateResponse:
        """Return the outcome of the trial: alone, or in the page with the form as it was sent."""
        if LIVE in request.POST:
            return TemplateResponse(request, f"{_TEMPLATES}/{piece}", context)
        key = request.GET.get("rule")
        address = (
            reverse("admin:postbacks_callbackrule_change", args=[key])
            if key
            else reverse("admin:postbacks_callbackrule_add")
        )
        page = self.model_admin.changeform_view(request, key, address, context)
        assert isinstance(page, TemplateResponse)  # noqa: S101  # nothing was saved: no redirect
        return page

    def later_answer(
        self, request: HttpRequest, piece: str, *, title: str, **context: object
    ) -> TemplateResponse:
        """Return the state of a trial: alone, or in a page of its own."""
        if LIVE in request.GET or LIVE in request.POST:
            return TemplateResponse(request, f"{_TEMPLATES}/{piece}", context)
        page = {**self.site.each_context(request), "title": title, "piece": f"{_TEMPLATES}/{piece}"}
        return TemplateResponse(request, f"{_TEMPLATES}/trial_page.html", {**page, **context})


def rule_address(key: int | None) -> str:
    """Return the address of a rule's form, "" for a rule that is not saved."""
    return reverse("admin:postbacks_callbackrule_change", args=[key]) if key else ""


def corrections_needed(form: CallbackRuleForm) -> str:
    """Return which fields must be corrected before anything can be tried, "" for none."""
    wrong = [name for name in form.errors if name not in _MAY_BE_MISSING]
    labels = [str(form.fields[name].label) for name in wrong if name in form.fields]
    of_the_whole = [str(error) for error in form.non_field_errors()]
    listed = f"Correct first: {', '.join(labels)}." if labels else ""
    return " ".join([listed, *of_the_whole]).strip()


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
    waiting: TestSend | None = None

    @property
    def waits_for(self) -> str:
        """What a test without an answer waits for, in a sentence."""
        if self.waiting is None:
            return ""
        if self.waiting.claimed_at is None:
            return "Waiting for the worker…"
        return "Sent. Waiting for the partner's answer…"

    @property
    def is_late(self) -> bool:
        """Whether no worker took the test for so long that something is wrong with them."""
        if self.waiting is None or self.waiting.claimed_at is not None:
            return False
        return datetime.now(UTC) - self.waiting.made_at > _LATE


class TestSendPage(TrialPage):
    """Serve the button “Send a test”."""

    @property
    def urls(self) -> list[URLPattern]:
        view = own_transactions(self.site.admin_view(self.view))
        return [path("test/", view, name="postbacks_callbackrule_test")]

    def view(self, request: HttpRequest) -> HttpResponse:
        """Send the form's request, with no transaction open, and show the answer.

        The script asks for an answer that takes longer again, with GET.
        """
        if not allowed(request, RIGHT_TO["test_send"]):
            raise PermissionDenied
        if request.method == "GET" and _TEST in request.GET:
            with _organization_of(request):
                return self._follow(request).render()
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        with _organization_of(request):
            begun = self._begin(request)
        if isinstance(begun, TestSend):
            is_script = LIVE in request.POST
            test_send.wait_for(
                begun, test_send.SHORT_WAIT_SECONDS if is_script else test_send.WAIT_SECONDS
            )
        with _organization_of(request):
            view = _test_view(request, begun) if isinstance(begun, TestSend) else _not_sent(begun)
            return self.answer(request, "test_answer.html", test=view).render()

    def _begin(self, request: HttpRequest) -> TestSend | WouldBeSkippedError | str:
        """Have the form's request sent, or say why it is not."""
        prepared = self._prepare(request)
        if not isinstance(prepared, PreparedTest):
            return prepared
        rule = _saved_as_tried(request.GET.get("rule"), prepared)
        try:
            return test_send.start(prepared, rule)
        except (NoWorkerError, TooManyTestsError) as refusal:
            return str(refusal)

    def _follow(self, request: HttpRequest) -> TemplateResponse:
        """Return how far a test is that was begun before."""
        public_id = uuid_or_none(request.GET[_TEST])
        test = TestSend.objects.filter(public_id=public_id).first() if public_id else None
        view = TestSendView(refusal=_OLD_TEST) if test is None else _test_view(request, test)
        return self.later_answer(
            request,
            "test_answer.html",
            title="Test send",
            test=view,
            rule_address=rule_address(test.rule_id) if test else "",
        )

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


def _not_sent(refusal: WouldBeSkippedError | str) -> TestSendView:
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


def _test_view(request: HttpRequest, test: TestSend) -> TestSendView:
    """Return what the page shows of a test, and remember one that succeeded."""
    result = test_send.result_of(test)
    if result is None:
        return TestSendView(waiting=test, log_address=_log_address(test))
    definition = test_send.definition_of_test(test)
    if test_send.is_received(result) and not test.skips:
        proof = test_send.proof_of(definition)
        tests = [*tests_of(request).items(), (proof, datetime.now(UTC).isoformat())]
        request.session[_IN_SESSION] = dict(tests[-_MOST_REMEMBERED:])
    return TestSendView(
        judgement=test_send.judge_test(test, result),
        attempt=attempt_view(test_send.attempt_of(result), definition.timeout_seconds),
        log_address=_log_address(test),
        skips=skip_details(test_send.skips_of(test)),
    )


def _log_address(test: TestSend) -> str:
    logged = test_send.postback_of(test) if test.rule_id else None
    return row_address(logged) if logged is not None else ""


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
