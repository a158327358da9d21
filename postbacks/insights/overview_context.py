"""What the admin's first page is given."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from django.http import HttpRequest

from apps_registry.admin_base.permissions import membership_of
from postbacks.insights.checklist import checklist
from postbacks.insights.overview import read_overview
from postbacks.insights.overview_page import overview_page


def overview_context(request: HttpRequest) -> dict[str, object]:
    """Return the overview of the organization that the request acts in, in its time zone."""
    membership = membership_of(request)
    if membership is None:
        return {}
    zone = ZoneInfo(membership.organization.time_zone)
    overview = read_overview(now=datetime.now(UTC), zone=zone)
    return {
        "page": overview_page(overview),
        "steps": [] if overview.steps.complete else checklist(overview.steps, request),
        "steps_done": overview.steps.done,
    }
