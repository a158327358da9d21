"""The list of organizations for the operator: names and counts, none of their data."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.models import Event

MOST_COUNTED = 10_000  # events of a day; more are not counted, so that the page is quick


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
