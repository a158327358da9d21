"""What is tried beside a rule's form: asked of the form as it stands, and shown next to it."""

from typing import TYPE_CHECKING

from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import reverse

from postbacks.admin.rules.form import LIVE, PREVIEW, CallbackRuleForm

if TYPE_CHECKING:
    from postbacks.admin.rules.admin import CallbackRuleAdmin

_NOT_NEEDED = {"name"}  # what is tried need not have one yet


class TryingPage:
    """Serves one thing to try. A script gets a piece of a page, everybody else the page itself."""

    def __init__(self, model_admin: "CallbackRuleAdmin") -> None:
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


def to_correct(form: CallbackRuleForm) -> str:
    """Return which fields must be corrected before anything can be tried, "" for none."""
    wrong = [name for name in form.errors if name not in _NOT_NEEDED]
    labels = [str(form.fields[it].label) if it in form.fields else "the rule" for it in wrong]
    return f"Correct first: {', '.join(labels)}." if wrong else ""
