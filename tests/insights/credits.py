"""Touchpoints, installs and events at given moments, as intake and pipeline would leave them."""

import uuid
from datetime import datetime
from decimal import Decimal

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import Event, EventKey, FigureChange, FigureKind, Install, Touchpoint
from tests.database import as_role
from tests.insights.logs import make_day


def make_touches(
    link: TrackingLink, *moments: datetime, kind: str = "click", **fields: object
) -> list[Touchpoint]:
    """Write a touchpoint of a link for each moment."""
    for moment in moments:
        make_day(moment)
    with as_role(roles.WORKER), tenant(link.organization_id):
        campaign = link.campaign
        return [
            Touchpoint.objects.create(
                **{
                    "public_id": uuid.uuid4(),
                    "app_id": campaign.app_id,
                    "partner_id": campaign.partner_id,
                    "campaign": campaign,
                    "link": link,
                    "kind": kind,
                    "source": "link",
                    "occurred_at": moment,
                    "received_at": moment,
                    **fields,
                }
            )
            for moment in moments
        ]


def make_install(
    link: TrackingLink, at: datetime, *, device: str = "", **fields: object
) -> Install:
    """Write an install that is credited to a link."""
    make_day(at)
    with as_role(roles.WORKER), tenant(link.organization_id):
        made = Install.objects.create(
            **{
                "app_id": link.campaign.app_id,
                "device": device or str(uuid.uuid4()),
                "installed_at": at,
                "event_received_at": at,
                "event_ref": 10**12,
                "attribution_type": "click",
                "method": "click_id",
                "partner_id": link.campaign.partner_id,
                "campaign": link.campaign,
                "link": link,
                **fields,
            }
        )
        FigureChange.objects.create(
            kind=FigureKind.INSTALL,
            at=at.replace(second=0, microsecond=0),
            app_ref=made.app_id,
            partner_ref=made.partner_id or 0,
            campaign_ref=made.campaign_id or 0,
            state=made.attribution_type,
            code=made.kind,
            count=1,
        )
        return made


def make_event(
    link: TrackingLink,
    at: datetime,
    *,
    device: str,
    name: str = "purchase",
    revenue: str | None = None,
    currency: str = "",
    **fields: object,
) -> Event:
    """Write an event of a device, as its app would report it."""
    make_day(at)
    with as_role(roles.WORKER), tenant(link.organization_id):
        app_id = link.campaign.app_id
        if fields.get("source") != "system":
            _count_event(app_id, at, device, (name, revenue, currency))
        key = EventKey.objects.create(app_id=app_id, event_id=uuid.uuid4(), received_at=at)
        return Event.objects.create(
            **{
                "id": key.pk,
                "app_id": app_id,
                "event_id": key.event_id,
                "event_name": name,
                "event_time": at,
                "received_at": at,
                "source": "sdk",
                "device": device,
                "revenue": Decimal(revenue) if revenue else None,
                "currency": currency,
                **fields,
            }
        )


def _count_event(
    app_id: int, at: datetime, device: str, event: tuple[str, str | None, str]
) -> None:
    """Count an event for whom its device is credited to, as deciding it does."""
    installs = Install.objects.filter(app_id=app_id, device=device, event_received_at__lte=at)
    install = installs.order_by("-event_received_at").first()
    name, revenue, currency = event
    FigureChange.objects.create(
        at=at.replace(second=0, microsecond=0),
        kind="event",
        app_ref=app_id,
        partner_ref=install.partner_id or 0 if install else 0,
        campaign_ref=install.campaign_id or 0 if install else 0,
        event_name=name,
        code=currency if revenue else "",
        count=1,
        amount=Decimal(revenue) if revenue else None,
    )
