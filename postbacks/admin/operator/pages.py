"""The operator's pages, inside the shell of the admin. Only operators may open them."""

import functools
from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from apps_registry.audit.actors import acting_as
from apps_registry.models import Organization
from postbacks.admin.operator import organizations, store_ids
from postbacks.insights.installation import read_installation
from postbacks.intake.skadnetwork import unclaimed
from postbacks.web import visits
from postbacks.web.middleware import ORGANIZATION_IN_SESSION, memberships_of, own_transactions

PAGE_SIZE = 25
View = Callable[..., HttpResponse]


def for_operators(view: View) -> View:
    """Let only operators in; send people who are not signed in to the sign-in page."""

    @functools.wraps(view)
    @never_cache
    @csrf_protect
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if not request.user.is_authenticated:
            return HttpResponseRedirect(f"{reverse('admin:login')}?next={request.path}")
        if visits.operator_of(request) is None:
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return own_transactions(guarded)


class EntryForm(forms.Form):
    """Asks an operator for the reason and the purpose of a visit."""

    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"class": "pb-input", "rows": 3}),
        help_text="For example: ticket 4711, postbacks to Unity Ads fail. Owners can read it.",
    )
    purpose = forms.ChoiceField(
        label="How",
        choices=[
            ("look", "To look: you see what an analyst sees and change nothing."),
            ("help", "To help: you may do what an owner may."),
        ],
        initial="look",
        widget=forms.RadioSelect,
    )


class DecisionForm(forms.Form):
    """An operator's decision about a claim."""

    organization = forms.UUIDField()
    store_id = forms.CharField(max_length=19)
    decision = forms.ChoiceField(choices=[("approve", "Approve"), ("refuse", "Refuse")])


@for_operators
@require_http_methods(["GET", "HEAD"])
def show_installation(request: HttpRequest) -> HttpResponse:
    return _page(request, "installation", "Installation", {"installation": read_installation()})


@for_operators
@require_http_methods(["GET", "HEAD"])
def list_organizations(request: HttpRequest) -> HttpResponse:
    """Show a page of the organizations, with counts."""
    search = request.GET.get("q", "").strip()[:200]
    pages = Paginator(organizations.search_organizations(search), PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    rows = organizations.organization_rows(page.object_list)
    context: dict[str, object] = {"search": search, "page": page, "rows": rows}
    return _page(request, "organizations", "Organizations", context)


@for_operators
@require_http_methods(["GET", "HEAD", "POST"])
def enter(request: HttpRequest, organization: object) -> HttpResponse:
    """Ask for a reason, write it into the organization's audit log, and begin the visit."""
    entered = get_object_or_404(Organization, public_id=organization, removed_at=None)
    form = EntryForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        if entered.pk in {membership.organization_id for membership in memberships_of(request)}:
            visits.end(request)
            request.session[ORGANIZATION_IN_SESSION] = str(entered.public_id)
        else:
            visits.begin(request, entered, **form.cleaned_data)
        return HttpResponseRedirect(reverse("admin:index"))
    context = {"form": form, "organization": entered}
    return _page(request, "enter", f"Enter {entered}", context)


@for_operators
@require_POST
def leave(request: HttpRequest) -> HttpResponse:
    visits.end(request)
    messages.success(request, "You have left the organization.")
    return HttpResponseRedirect(reverse("admin:organizations"))


@for_operators
@require_http_methods(["GET", "HEAD"])
def list_store_ids(request: HttpRequest) -> HttpResponse:
    """Show the claims that wait, and the unknown apps of which copies arrived."""
    context: dict[str, object] = {
        "disputes": store_ids.disputes(),
        "unknown": store_ids.unknown_apps(),
        "days": unclaimed.RETENTION.days,
    }
    return _page(request, "store_ids", "Store IDs", context)


@for_operators
@require_POST
def decide_store_id(request: HttpRequest) -> HttpResponse:
    """Give an app to an organization, or refuse its claim."""
    form = DecisionForm(request.POST)
    user = visits.operator_of(request)
    if user is None or not form.is_valid():
        raise SuspiciousOperation("The decision can't be read.")
    store_id = form.cleaned_data["store_id"]
    organization = get_object_or_404(Organization, public_id=form.cleaned_data["organization"])
    approve = form.cleaned_data["decision"] == "approve"
    try:
        with acting_as(visits.actor(request, user)):
            store_ids.decide(organization, store_id, approve=approve, by=user.email)
    except store_ids.NothingToDecideError:
        messages.warning(request, "This claim is gone, or was approved by now.")
    else:
        done = f"has {store_id} now." if approve else f"is refused {store_id}."
        messages.success(request, f"{organization} {done}")
    return HttpResponseRedirect(reverse("admin:store_ids"))


def _page(
    request: HttpRequest, template: str, title: str, context: dict[str, object]
) -> TemplateResponse:
    site: Any = admin.site  # the theme's: it has a sidebar
    shell = {
        **site.each_context(request),
        # Members get both from the site; an operator may be in no organization.
        "has_permission": True,
        "sidebar_navigation": site.get_sidebar_list(request),
        "title": title,
    }
    return TemplateResponse(request, f"admin/operating/{template}.html", {**shell, **context})
