"""Touchpoints for tests, recorded as the doors for clicks record them."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg

from apps_registry.models import Partner, TrackingLink
from apps_registry.tenancy import tenant
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.values import identifiers
from postbacks.values.uuid7 import uuid7
from tests import database
from tests.make import Tenant, make_campaign, make_link, make_partner

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


def make_network(of: Tenant, name: str = "Network") -> tuple[Partner, TrackingLink]:
    """Make a partner with a campaign for the tenant's app and a tracking link."""
    with tenant(of.organization.pk):
        partner = make_partner(name)
        return partner, make_link(make_campaign(of.app, partner))


def touch(of: Tenant, link: TrackingLink, *, ago: float = 60, **fields: object) -> UUID:
    """Record a click of the device with GAID on a link, so many seconds ago; return its id."""
    at = fields.pop("at", datetime.now(UTC))
    gaid = fields.pop("gaid", GAID)
    with tenant(of.organization.pk):
        campaign = link.campaign
        (recorded,) = record_touchpoints(
            [
                NewTouchpoint(
                    **{
                        "organization_id": of.organization.pk,
                        "app_id": of.app.pk,
                        "partner_id": campaign.partner_id,
                        "campaign_id": campaign.pk,
                        "link_id": link.pk,
                        "kind": "click",
                        "source": "link",
                        "occurred_at": at - timedelta(seconds=ago),
                        "public_id": uuid7(at),
                        "identifiers": frozenset(identifiers.identifiers_of({"gaid": gaid})),
                        **fields,
                    }
                )
            ]
        )
    if datetime.now(UTC) - at > timedelta(minutes=1):
        _backdate(recorded.id)
    return recorded.id


def _backdate(touchpoint: UUID) -> None:
    """Let a touchpoint have come when it happened: what is told late earns nothing."""
    with psycopg.connect(database.superuser_conninfo()) as superuser:
        row = superuser.execute(
            "SELECT id, occurred_at FROM touchpoint WHERE public_id = %s", [touchpoint]
        ).fetchone()
        assert row is not None
        superuser.execute("SELECT ensure_partitions((%s AT TIME ZONE 'UTC')::date, 1)", [row[1]])
        superuser.execute(
            "UPDATE touchpoint SET received_at = occurred_at WHERE public_id = %s", [touchpoint]
        )
        superuser.execute(
            "UPDATE touchpoint_key SET received_at = occurred_at WHERE touchpoint_id = %s", [row[0]]
        )
