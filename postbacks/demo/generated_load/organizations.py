"""The organizations of a generated load: each with an app, partners, links and rules."""

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import QuerySet

from apps_registry.models import (
    App,
    BundleId,
    Campaign,
    Membership,
    Organization,
    Partner,
    TrackingLink,
    User,
)
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving

OWNER = "owner@load.example"
LINKS = 6  # of each organization: three networks with two campaigns
_NETWORKS = ("Aurora Ads", "Borealis", "Comet")
_CAMPAIGNS = ("Spring", "Autumn")
_PREFIX = "Generated load "
_URL = (
    "https://network.load.example/postback/{place}?event={{{{event_name}}}}&id={{{{event_id}}}}"
    "&device={{{{advertising_id}}}}"
)


@dataclass(frozen=True, slots=True)
class LoadLink:
    """A tracking link, and what credits to it say."""

    link: TrackingLink
    facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class LoadOrganization:
    """An organization of the load, with what its generated rows refer to."""

    organization: Organization
    app: App
    bundle_id: str
    links: tuple[LoadLink, ...]
    rules: tuple[CallbackRule, ...]


def generated_organizations() -> "QuerySet[Organization]":
    return Organization.objects.filter(name__startswith=_PREFIX).order_by("pk")


def other_organizations() -> "QuerySet[Organization]":
    return Organization.objects.exclude(name__startswith=_PREFIX)


def create_organizations(count: int, *, rules: int) -> Iterator[LoadOrganization]:
    """Create organizations with so many rules each; the first one belongs to the owner."""
    for place in range(count):
        organization = Organization.objects.create(name=f"{_PREFIX}{place + 1:03d}")
        with tenant(organization.pk):
            yield _configure(organization, place, rules)


def create_owner(organization: Organization, password: str) -> User:
    owner = User.objects.filter(email=OWNER).first() or User(email=OWNER)
    owner.set_password(password)
    owner.save()
    Membership.objects.create(organization=organization, user=owner, role=Role.OWNER)
    return owner


def _configure(organization: Organization, place: int, rules: int) -> LoadOrganization:
    bundle_id = f"example.load.game{place + 1}"
    app = App.objects.create(name=f"Game {place + 1}", platform="android")
    BundleId.objects.create(app=app, identifier=bundle_id)
    links = tuple(_create_links(app))
    return LoadOrganization(
        organization, app, bundle_id, links, tuple(_create_rule(each) for each in range(rules))
    )


def _create_links(app: App) -> Iterator[LoadLink]:
    for network in _NETWORKS:
        partner = Partner.objects.create(name=network)
        for name in _CAMPAIGNS:
            campaign = Campaign.objects.create(name=f"{network} {name}", app=app, partner=partner)
            link = TrackingLink.objects.create(name="Video 15 s", campaign=campaign)
            facts: dict[str, object] = {
                "type": "click",
                "method": "advertising_id",
                "partner": str(partner.public_id),
                "partner_id": partner.pk,
                "partner_name": partner.name,
                "campaign_id": str(campaign.public_id),
                "campaign_name": campaign.name,
                "tracker_id": str(link.public_id),
                "tracker_name": link.name,
            }
            yield LoadLink(link, facts)


def _create_rule(place: int) -> CallbackRule:
    rule = CallbackRule(
        name=f"Every event {place + 1}",
        status=RuleStatus.ACTIVE,
        triggers=["*"],
        url=_URL.format(place=place + 1),
    )
    saving.save(rule, by=None)
    return rule
