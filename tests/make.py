"""Rows for tests: each function takes only what matters to the test."""

import itertools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret

from apps_registry.crypto import keys
from apps_registry.models import (
    ApiToken,
    App,
    BundleId,
    Campaign,
    ClickSigningKey,
    Invitation,
    Membership,
    Organization,
    Partner,
    SdkKey,
    TrackingLink,
    User,
)
from apps_registry.models.click_signing import new_secret
from apps_registry.people import invitations
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import save_rule
from postbacks.models import CallbackRule, RuleStatus, SkanPostback, TestDevice
from postbacks.privacy.device_marks import mark_device

_URL = "https://ads.example.com/postback"
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An organization with an app that reports, and an owner who may do everything."""

    organization: Organization
    owner: User
    app: App
    bundle_id: BundleId
    sdk_key: str
    api_token: str


def make_user(role: str = Role.OWNER, *, organization: Organization) -> User:
    user = User.objects.create_user(f"{role}{next(_numbers)}@example.com", "correct horse battery")
    Membership.objects.create(organization=organization, user=user, role=role)
    return user


def make_invitation(
    organization: Organization, email: str = "", role: str = Role.ANALYST
) -> Invitation:
    return invitations.invite(
        organization_id=organization.pk,
        email=email or f"new{next(_numbers)}@example.com",
        role=role,
        by=None,
    )


def make_second_factor(user: User) -> str:
    """Set up an authenticator app; return its key."""
    secret = generate_totp_secret()
    TOTP.activate(user, secret)
    return secret


def make_organization(name: str = "Gem Harbor") -> Organization:
    return Organization.objects.create(name=f"{name} {next(_numbers)}")


def make_tenant(name: str = "Gem Harbor", *, key_kind: str = SdkKey.Kind.SERVER) -> Tenant:
    organization = make_organization(name)
    owner = make_user(organization=organization)
    with tenant(organization.pk):
        app = App.objects.create(name=f"{name} iOS", platform="ios", store_id="1234567890")
        bundle_id = BundleId.objects.create(app=app, identifier=f"com.example.app{app.pk}")
        sdk_key = make_sdk_key(app, kind=key_kind)
        api_token = make_api_token(Role.OWNER)
    return Tenant(organization, owner, app, bundle_id, sdk_key, api_token)


def make_sdk_key(app: App, *, kind: str = SdkKey.Kind.SERVER) -> str:
    fresh = keys.make_key(keys.SDK_KEY)
    SdkKey.objects.create(app=app, kind=kind, prefix=fresh.prefix, hash=fresh.hash)
    return fresh.secret


def make_api_token(role: str = Role.OWNER, *, user: User | None = None) -> str:
    fresh = keys.make_key(keys.API_TOKEN)
    ApiToken.objects.create(
        name="tests", role=role, user=user, prefix=fresh.prefix, hash=fresh.hash
    )
    return fresh.secret


def make_partner(
    name: str = "Ad Network",
    *,
    credentials: Mapping[str, str] | None = None,
    allowed_hosts: tuple[str, ...] = (),
) -> Partner:
    partner = Partner.objects.create(
        name=f"{name} {next(_numbers)}", allowed_hosts=list(allowed_hosts)
    )
    partner.set_credentials(credentials or {})
    return partner


def make_campaign(app: App, partner: Partner, name: str = "") -> Campaign:
    name = name or f"Summer {next(_numbers)}"
    return Campaign.objects.create(name=name, app=app, partner=partner)


def make_link(campaign: Campaign, **fields: object) -> TrackingLink:
    return TrackingLink.objects.create(
        **{"name": f"Link {next(_numbers)}", "campaign": campaign, **fields}
    )


def make_test_device(name: str = "Anna's Pixel 8", *, days: int = 7, **ids: str) -> TestDevice:
    """Mark a device by one id, as the page does."""
    ((kind, value),) = (ids or {"gaid": str(uuid.uuid4())}).items()
    row = TestDevice(name=name)
    mark_device(row, kind=kind, value=value, days=days)
    return row


def make_click_key(partner: Partner, secret: str = "") -> ClickSigningKey:
    key = ClickSigningKey(partner=partner)
    key.seal(secret or new_secret())
    key.save()
    return key


def make_rule(url: str = _URL, **fields: object) -> CallbackRule:
    rule = CallbackRule(
        **{"name": f"Rule {next(_numbers)}", "status": RuleStatus.ACTIVE, "url": url, **fields}
    )
    save_rule(rule, by=None)
    return rule


def make_tenant_rule(of: Tenant, url: str = _URL, **fields: object) -> CallbackRule:
    """Make a rule of the tenant's organization from outside it."""
    with tenant(of.organization.pk):
        return make_rule(url, **fields)


def make_skan_postback(app: App, **fields: object) -> SkanPostback:
    """Write a copy as the door would; each is of a transaction of its own."""
    return SkanPostback.objects.create(
        **{
            "app": app,
            "protocol": "skadnetwork",
            "version": "4.0",
            "network_id": "com.example",
            "transaction_id": str(uuid.uuid4()),
            "source_identifier": "5239",
            "signature_state": "valid",
            "digest": uuid.uuid4(),
            "received_at": datetime.now(UTC),
            "did_win": True,
            "redownload": False,
            "body": '{"version": "4.0"}',
            **fields,
        }
    )
