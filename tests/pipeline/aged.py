"""Touchpoints that came some time ago."""

from datetime import UTC, datetime

from django.db import connection

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.models import Touchpoint, TouchpointKey, TouchpointSeen
from tests import make
from tests.database import as_role


def touched(address: str) -> TrackingLink:
    """Record a click from an address."""
    made = make.make_tenant()
    with tenant(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner()))
        record_touchpoints(
            [
                NewTouchpoint(
                    organization_id=made.organization.pk,
                    app_id=made.app.pk,
                    partner_id=link.campaign.partner_id,
                    link_id=link.pk,
                    kind="click",
                    source="link",
                    occurred_at=datetime.now(UTC),
                    ip_address=address,
                    identifiers=frozenset({"advertising:a-b", f"ip:{address}"}),
                    params={"ip": address, "sub1": "spring"},
                )
            ]
        )
    return link


def touched_at(link: TrackingLink, moment: datetime) -> None:
    """Have all touchpoints of an organization come at some time."""
    with as_role(roles.OWNER), connection.cursor() as cursor:
        cursor.execute("SELECT ensure_partitions(%s::date, 1)", [moment])
    with as_role(roles.WORKER), tenant(link.organization_id):
        for model in (Touchpoint, TouchpointKey, TouchpointSeen):
            model.objects.update(received_at=moment)
