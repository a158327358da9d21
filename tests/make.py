"""Rows for tests: each function takes only what matters to the test."""

import itertools
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth.hashers import make_password
from django.db import connection

from apps_registry.audit.actors import current_actor
from apps_registry.crypto import keys
from apps_registry.models import (
    ApiToken,
    App,
    AuditEntry,
    BundleId,
    Campaign,
    ClaimState,
    ClickSigningKey,
    Invitation,
    Membership,
    Organization,
    Partner,
    SdkKey,
    StoreClaim,
    TrackingLink,
    User,
)
from apps_registry.models.click_signing import new_secret
from apps_registry.people import invitations
from apps_registry.roles import Role
from apps_registry.tenancy import current_organization, tenant
from postbacks.callbacks.rules.versions import save_rule
from postbacks.insights import export_schedules
from postbacks.models import CallbackRule, ExportSchedule, RuleStatus, SkanPostback, TestDevice
from postbacks.privacy.device_marks import mark_device
from tests.database import superuser
from tests.row_templates import RowTemplate, loaded, stored_rows

_PASSWORD = "correct horse battery"
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
    user = User.objects.create_user(f"{role}{next(_numbers)}@example.com", _PASSWORD)
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
    """Make a tenant: the first of its kind in a process as people would, the next as copies of it.

    Rows that this transaction has not committed yet are seen by nobody else, so they are made anew.
    """
    if connection.in_atomic_block:
        return make_tenant_anew(name, key_kind=key_kind)
    claimed = superuser().execute("SELECT is_store_id_claimed(%s)", [_STORE_ID]).fetchone()
    kind = (key_kind, claimed, current_actor())
    if kind in _tenant_templates:
        return _copy_of_tenant(_tenant_templates[kind], name)
    made = make_tenant_anew(name, key_kind=key_kind)
    _tenant_templates[kind] = template_of(made)
    return made


def make_tenant_anew(name: str = "Gem Harbor", *, key_kind: str = SdkKey.Kind.SERVER) -> Tenant:
    """Make a tenant as people would, with all that our models do."""
    organization = make_organization(name)
    owner = make_user(organization=organization)
    with tenant(organization.pk):
        app = App.objects.create(name=f"{name} iOS", platform="ios", store_id=_STORE_ID)
        bundle_id = BundleId.objects.create(app=app, identifier=f"com.example.app{app.pk}")
        sdk_key = make_sdk_key(app, kind=key_kind)
        api_token = make_api_token(Role.OWNER)
    return Tenant(organization, owner, app, bundle_id, sdk_key, api_token)


_STORE_ID = "1234567890"
_tenant_templates: dict[tuple[object, ...], RowTemplate] = {}


def template_of(made: Tenant) -> RowTemplate:
    """Return a template of all rows that a fresh tenant has."""
    organization_id = made.organization.pk
    rows = {
        Organization: stored_rows(Organization, id=organization_id),
        User: stored_rows(User, id=made.owner.pk),
        **{
            model: stored_rows(model, organization_id=organization_id)
            for model in (Membership, App, StoreClaim, BundleId, SdkKey, ApiToken, AuditEntry)
        },
    }
    (sdk_key,), (api_token,) = rows[SdkKey], rows[ApiToken]
    texts = {
        "organization": made.organization.name,
        "owner": made.owner.email,
        "password": made.owner.password,
        "app": made.app.name,
        "bundle": made.bundle_id.identifier,
        **{f"sdk {column}": sdk_key[column] for column in ("prefix", "hash")},
        **{f"api {column}": api_token[column] for column in ("prefix", "hash")},
    }
    return RowTemplate(rows, texts)


def _copy_of_tenant(template: RowTemplate, name: str) -> Tenant:
    sdk_key, api_token = keys.make_key(keys.SDK_KEY), keys.make_key(keys.API_TOKEN)
    rows = template.write(
        {
            "organization": f"{name} {next(_numbers)}",
            "owner": f"{Role.OWNER}{next(_numbers)}@example.com",
            "password": make_password(_PASSWORD),
            "app": f"{name} iOS",
            "bundle": f"com.example.copy{next(_numbers)}",
            "sdk prefix": sdk_key.prefix,
            "sdk hash": sdk_key.hash,
            "api prefix": api_token.prefix,
            "api hash": api_token.hash,
        }
    )
    organization, owner, app, bundle_id = (
        loaded(model, rows[model._meta.db_table][0])
        for model in (Organization, User, App, BundleId)
    )
    bundle_id.app = app
    return Tenant(organization, owner, app, bundle_id, sdk_key.secret, api_token.secret)


def own_store_id(app: App, number: str) -> None:
    """Give an app a number of Apple's store, proven to be its own as by an event of it."""
    with tenant(app.organization_id):
        app.store_id = number
        app.save()
        StoreClaim.objects.filter(app=app, state=ClaimState.ACCEPTED).update(
            proven_at=datetime.now(UTC)
        )


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


def make_export_schedule(name: str = "All events", **fields: Any) -> ExportSchedule:
    """Return a schedule to a store that nobody runs."""
    values = {
        "endpoint": "https://s3.eu-central-1.amazonaws.com",
        "region": "eu-central-1",
        "bucket": "lake",
        "access_key_id": "AKIAEXAMPLE",
        **fields,
    }
    schedule = ExportSchedule(name=name, organization_id=current_organization(), **values)
    export_schedules.save(schedule, secret="a-secret-access-key")
    return schedule


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
