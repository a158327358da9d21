"""The demo organization's configuration: apps, partners, campaigns, links and rules."""

from collections.abc import Mapping
from decimal import Decimal

from apps_registry.crypto import keys
from apps_registry.models import (
    App,
    AttributionSettings,
    BundleId,
    Campaign,
    ConversionMeaning,
    Partner,
    TrackingLink,
)
from postbacks.demo.networks import NETWORKS, DemoApp, Network
from postbacks.demo.rules import DEMO_RULES, DemoRule
from postbacks.demo.simulation.skan_copies import STORE_ID
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving
from postbacks.values.rule_choices import AttributionScope

BUNDLE_IDS = {DemoApp.IOS: "com.gemharbor.puzzle", DemoApp.ANDROID: "com.gemharbor.puzzle.android"}
LINK_NAME = "Video 15 s"

# From and to value, the event, and what it earned at least and at most, in US dollars.
_CONVERSION_VALUES = (
    (0, 9, "tutorial_complete", None, None),
    (10, 31, "level_up", None, None),
    (32, 47, "purchase", Decimal("0.99"), Decimal("4.99")),
    (48, 63, "purchase", Decimal("5.00"), Decimal("49.99")),
)


def create_configuration(partner_url: str) -> None:
    """Create the demo's configuration in the current organization."""
    apps = {
        DemoApp.IOS: App.objects.create(
            name="Gem Harbor iOS", platform="ios", store_id=STORE_ID, time_zone="Europe/Berlin"
        ),
        DemoApp.ANDROID: App.objects.create(
            name="Gem Harbor Android",
            platform="android",
            store_id=BUNDLE_IDS[DemoApp.ANDROID],
            time_zone="Europe/Berlin",
        ),
    }
    for name, app in apps.items():
        BundleId.objects.create(app=app, identifier=BUNDLE_IDS[name])
    _create_conversion_meanings(apps[DemoApp.IOS])
    partners = {network: _create_partner(network, apps, partner_url) for network in NETWORKS}
    for rule in DEMO_RULES:
        saving.save(_callback_rule(rule, apps, partners[rule.network], partner_url), by=None)


def _create_partner(network: Network, apps: Mapping[DemoApp, App], partner_url: str) -> Partner:
    partner = Partner.objects.create(
        name=network.name,
        allowed_hosts=[partner_url.removeprefix("http://")],
        skadnetwork_ids=[network.skadnetwork_id] if network.skadnetwork_id else [],
    )
    partner.set_credentials({"api_key": keys.make_key(f"{network.short}-").secret})
    if network.click_window_hours is not None:
        AttributionSettings.objects.create(
            partner=partner, click_window_hours=network.click_window_hours
        )
    for app in apps.values():
        campaign = Campaign.objects.create(
            name=f"{network.campaign} {app.platform}",
            app=app,
            partner=partner,
            remote_campaign_id="5239",
        )
        TrackingLink.objects.create(
            name=LINK_NAME, campaign=campaign, parameters="click_id={clickid}&site_id={site}"
        )
    return partner


def _create_conversion_meanings(app: App) -> None:
    for first, last, name, least, most in _CONVERSION_VALUES:
        ConversionMeaning.objects.create(
            app=app,
            first_value=first,
            last_value=last,
            event_name=name,
            least_revenue=least,
            most_revenue=most,
        )


def _callback_rule(
    rule: DemoRule, apps: Mapping[DemoApp, App], partner: Partner, partner_url: str
) -> CallbackRule:
    scope = AttributionScope.PARTNER if rule.only_earned else AttributionScope.EVERYONE
    return CallbackRule(
        name=rule.name,
        status=RuleStatus.ACTIVE,
        app=apps[rule.app] if rule.app else None,
        partner=partner,
        triggers=list(rule.triggers),
        frequency=rule.frequency.value,
        attribution_scope=scope.value,
        conditions=rule.conditions,
        method=rule.method,
        url=partner_url + rule.path,
        headers=dict(rule.headers),
        body_type=rule.body_type.value,
        body=rule.body,
        missing_values=rule.missing_values.value,
        sign=rule.sign,
        retry_delays=list(rule.retry_delays),
    )
