"""① The operator's pages: the installation, its organizations, and disputed store ids.

Only operators may open them. Of the organizations they see names, counts and store ids here, none
of their data.
"""

import functools
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.core.paginator import Paginator
from django.db import connection, transaction
from django.db.models import Count, Max, Min, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from apps_registry.audit.actors import acting_as
from apps_registry.models import ClaimState, Organization, StoreClaim
from apps_registry.models.store_claims import lock_number
from apps_registry.tenancy import tenant
from postbacks.insights.health import read_installation
from postbacks.intake.skadnetwork import unclaimed
from postbacks.intake.skadnetwork.recording import find_store_owner
from postbacks.models import Event, UnclaimedCopy
from postbacks.web import visits
from postbacks.web.middleware import ORGANIZATION_IN_SESSION, memberships_of, own_transactions

PAGE_SIZE = 25
MOST_COUNTED = 10_000  # events of a day; more are not counted, so that the page is quick
MOST_APPS = 100

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
    pages = Paginator(search_organizations(search), PAGE_SIZE)
    page = pages.get_page(request.GET.get("page"))
    rows = organization_rows(page.object_list)
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
        "disputes": disputes(),
        "unknown": unknown_apps(),
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
            decide_claim(organization, store_id, approve=approve, by=user.email)
    except NothingToDecideError:
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


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """An organization with its numbers of members and events."""

    organization: Organization
    members: int
    last_event_at: datetime | None
    events_of_day: int

    @property
    def events_label(self) -> str:
        if self.events_of_day > MOST_COUNTED:
            return f"over {MOST_COUNTED:,}"
        return f"{self.events_of_day:,}"


def search_organizations(search: str) -> QuerySet[Organization]:
    """Return organizations by name, limited to those with the text in their name or as their id."""
    rows = Organization.objects.annotate(members=Count("memberships")).order_by("name", "pk")
    if not search:
        return rows
    text = search.replace("\x00", "")
    return rows.filter(Q(name__icontains=text) | Q(public_id__in=_ids(text)))


def organization_rows(organizations: Iterable[Organization]) -> list[OrganizationRow]:
    """Return a page's rows, with a query for each organization: tenancy allows none across."""
    return [_row(organization) for organization in organizations]


def _row(organization: Organization) -> OrganizationRow:
    with tenant(organization.pk):
        last = Event.objects.aggregate(at=Max("received_at"))["at"]
        day = Event.objects.filter(received_at__gt=timezone.now() - timedelta(days=1))
        count = day.order_by()[: MOST_COUNTED + 1].count() if last else 0
    members: int = organization.members  # type: ignore[attr-defined]  # annotated by `search_organizations`
    return OrganizationRow(organization, members, last, count)


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(text.strip())]
    except ValueError:
        return []


class NothingToDecideError(LookupError):
    """The claim is gone, or was approved by now."""


@dataclass(frozen=True, slots=True)
class Dispute:
    """A claim that waits, was refused or is unproven, and the organization that has the app now."""

    organization: Organization
    claim: StoreClaim
    holder: Organization | None

    @property
    def is_waiting(self) -> bool:
        return self.claim.state == ClaimState.WAITING

    @property
    def is_unproven(self) -> bool:
        return self.claim.state == ClaimState.ACCEPTED


@dataclass(frozen=True, slots=True)
class UnknownApp:
    """An app that nobody has, and the number of stored copies."""

    store_id: str
    copies: int
    first_at: datetime
    last_at: datetime


def disputes() -> list[Dispute]:
    """Return claims that wait, refused ones, and unproven ones for whose app copies wait.

    Each is read inside its own organization.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT organization_id, id FROM find_disputed_claims() "
            "UNION ALL SELECT organization_id, id FROM find_unproven_claims()"
        )
        claims = cursor.fetchall()
    return [_dispute(organization_id, claim_id) for organization_id, claim_id in claims]


def unknown_apps() -> list[UnknownApp]:
    """Return the apps with stored copies, most copies first."""
    rows = UnclaimedCopy.objects.values("store_id").annotate(
        copies=Count("pk"), first_at=Min("received_at"), last_at=Max("received_at")
    )
    return [UnknownApp(**row) for row in rows.order_by("-copies", "store_id")[:MOST_APPS]]


@transaction.atomic
def decide_claim(organization: Organization, store_id: str, *, approve: bool, by: str) -> None:
    """Give an app to an organization that claims it, or refuse the claim.

    The claim of the organization that has it now is refused then. Both read it in their audit
    logs. Raises NothingToDecideError.
    """
    lock_number(store_id)
    with tenant(organization.pk):
        open_claims = StoreClaim.objects.exclude(state=ClaimState.ACCEPTED, proven_at__isnull=False)
        claim = open_claims.filter(store_id=store_id).first()
    if claim is None:
        raise NothingToDecideError(store_id)
    holder = find_store_owner(store_id)
    if approve and holder and holder[0] != organization.pk:
        with tenant(holder[0]):
            current_claim = StoreClaim.objects.get(store_id=store_id)
            current_claim.decide(ClaimState.REFUSED, by=by)
    with tenant(organization.pk):
        claim.decide(ClaimState.ACCEPTED if approve else ClaimState.REFUSED, by=by)


def _dispute(organization_id: int, claim_id: int) -> Dispute:
    with tenant(organization_id):
        claim = StoreClaim.objects.select_related("organization").get(pk=claim_id)
    holder = find_store_owner(claim.store_id)
    return Dispute(
        organization=claim.organization,
        claim=claim,
        holder=Organization.objects.filter(pk=holder[0]).first() if holder else None,
    )
