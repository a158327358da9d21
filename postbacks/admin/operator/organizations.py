"""The list of organizations as an operator may see it: names and counts, nothing of their data."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet
from django.utils import timezone

from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.models import Event

MOST_COUNTED = 10_000  # more events of a day than this are not counted, so that the page is quick


@dataclass(frozen=True, slots=True)
class OrganizationRow:
    """An organization, and how much goes on there."""

    organization: Organization
    members: int
    last_event_at: datetime | None
    events_of_day: int

    @property
    def events_shown(self) -> str:
        if self.events_of_day > MOST_COUNTED:
            return f"over {MOST_COUNTED:,}"
        return f"{self.events_of_day:,}"


def found(words: str) -> QuerySet[Organization]:
    """Return organizations whose name holds the words, or whose id they are; by name."""
    rows = Organization.objects.annotate(members=Count("memberships")).order_by("name", "pk")
    if not words:
        return rows
    text = words.replace("\x00", "")
    named = Q(name__icontains=text)
    return rows.filter(named | Q(public_id__in=_ids(text)))


def lines(organizations: Iterable[Organization]) -> list[OrganizationRow]:
    """Return a page's lines. Each organization is asked by itself: there is no way across."""
    return [_line(organization) for organization in organizations]


def _line(organization: Organization) -> OrganizationRow:
    with tenant(organization.pk):
        last = Event.objects.aggregate(at=Max("received_at"))["at"]
        day = Event.objects.filter(received_at__gt=timezone.now() - timedelta(days=1))
        count = day.order_by()[: MOST_COUNTED + 1].count() if last else 0
    members: int = organization.members  # type: ignore[attr-defined]  # annotated by `found`
    return OrganizationRow(organization, members, last, count)


def _ids(text: str) -> list[UUID]:
    try:
        return [UUID(text.strip())]
    except ValueError:
        return []
