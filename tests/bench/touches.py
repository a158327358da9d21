"""Clicks for the rows on attribution, recorded as the doors for clicks record them."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from apps_registry.models import Campaign, Partner, TrackingLink
from apps_registry.tenancy import tenant
from postbacks.intake.touchpoints.recording import NewTouchpoint, record_touchpoints
from postbacks.values import identifiers
from tests.bench.product import Account

_AT_ONCE = 500

_LEAST_AGO = timedelta(minutes=1)  # a click a moment before the first open is rejected as fraud


def make_link(account: Account, network: str) -> TrackingLink:
    """Make a network with a campaign and a link."""
    with tenant(account.organization.pk):
        partner = Partner.objects.create(name=network)
        campaign = Campaign.objects.create(name=network, app=account.app, partner=partner)
        return TrackingLink.objects.create(name="Video", campaign=campaign)


def click(account: Account, link: TrackingLink, idfas: Iterable[str], *, at: datetime) -> None:
    """Record a click of each device, one second before the other."""
    clicks = [
        NewTouchpoint(
            organization_id=account.organization.pk,
            app_id=account.app.pk,
            partner_id=link.campaign.partner_id,
            campaign_id=link.campaign_id,
            link_id=link.pk,
            kind="click",
            source="link",
            occurred_at=at - _LEAST_AGO - timedelta(seconds=number % 3600),
            identifiers=frozenset(identifiers.identifiers_of({"idfa": idfa})),
            click_id=f"c-{number}",
            params={"sub1": "spring", "creative": "video_15s"},
        )
        for number, idfa in enumerate(idfas)
    ]
    with tenant(account.organization.pk):
        for first in range(0, len(clicks), _AT_ONCE):
            record_touchpoints(clicks[first : first + _AT_ONCE])
