"""Try a rule out beside its form: the form is read as it stands, and nothing of it is saved."""

from typing import Protocol

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from postbacks.admin.rules.form import LIVE, PREVIEW, CallbackRuleForm
from postbacks.models import CallbackRule

_MAY_BE_MISSING = {"name"}  # a rule can be tried before it has one


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
            return TemplateResponse(request, f"admin/postbacks/callbackrule/{piece}", context)
        key = request.GET.get("rule")
        address = (
            reverse("admin:postbacks_callbackrule_change", args=[key])
            if key
            else reverse("admin:postbacks_callbackrule_add")
        )
        page = self.model_admin.changeform_view(request, key, address, context)
        assert isinstance(page, TemplateResponse)  # noqa: S101  # nothing was saved: no redirect
        return page


def corrections_needed(form: CallbackRuleForm) -> str:
    """Return which fields must be corrected before anything can be tried, "" for none."""
    wrong = [name for name in form.errors if name not in _MAY_BE_MISSING]
    labels = [str(form.fields[name].label) for name in wrong if name in form.fields]
    of_the_whole = [str(error) for error in form.non_field_errors()]
    listed = f"Correct first: {', '.join(labels)}." if labels else ""
    return " ".join([listed, *of_the_whole]).strip()
