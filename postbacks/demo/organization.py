"""The demo's organization: Gem Harbor Studios, its members and its keys."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from django.conf import settings

from apps_registry.crypto import keys
from apps_registry.models import (
    ApiToken,
    App,
    Membership,
    Organization,
    SdkKey,
    TrackingLink,
    User,
)
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.demo.configuration import LINK_NAME, create_configuration
from postbacks.demo.networks import DemoApp
from postbacks.infrastructure import environment

NAME = "Gem Harbor Studios"
EMPTY_NAME = "Blank Canvas Games"  # an organization without any configuration, to see its pages
DOMAIN = "gemharbor.example"
_DEMO_KEY = "demo"  # the name of the keys that each start of the demo replaces


@dataclass(frozen=True, slots=True)
class Person:
    """A user's sign-in and role."""

    email: str
    password: str
    role: str


@dataclass(frozen=True, slots=True)
class DemoOrganization:
    """The demo's organization, with its keys in plain text, which exist only here."""

    organization: Organization
    apps: Mapping[DemoApp, App]
    sdk_keys: Mapping[DemoApp, str]
    links: Mapping[tuple[str, DemoApp], str]  # tokens, by the partner's name
    api_token: str
    people: tuple[Person, ...]
    is_new: bool = False


def set_up(partner_url: str) -> DemoOrganization:
    """Return the demo's organization, created at the first start; its keys are replaced."""
    organization, is_new = Organization.objects.get_or_create(
        name=NAME, defaults={"time_zone": "Europe/Berlin"}
    )
    people = tuple(
        _person(organization, role) for role in (Role.OWNER, Role.MARKETER, Role.ANALYST)
    )
    _ensure_empty_organization(f"{Role.OWNER}@{DOMAIN}")
    with tenant(organization.pk):
        if is_new:
            create_configuration(partner_url)
        apps = {
            DemoApp(app.platform): app for app in App.objects.filter(name__startswith="Gem Har")
        }
        return DemoOrganization(
            organization=organization,
            apps=apps,
            sdk_keys={name: replace_sdk_key(app) for name, app in apps.items()},
            links={
                (link.campaign.partner.name, DemoApp(link.campaign.app.platform)): link.token
                for link in TrackingLink.objects.filter(name=LINK_NAME).select_related(
                    "campaign__partner", "campaign__app"
                )
            },
            api_token=_replace_api_token(),
            people=people,
            is_new=is_new,
        )


def _person(organization: Organization, role: str) -> Person:
    email = f"{role}@{DOMAIN}"
    password = environment.stored_secret(
        settings.DATA_DIR / "demo_password", lambda: secrets.token_urlsafe(12)
    )
    user = User.objects.filter(email=email).first()
    if user is None:
        user = User.objects.create_user(email, password, name=f"Demo {role}")
    Membership.objects.get_or_create(organization=organization, user=user, defaults={"role": role})
    return Person(email, password, role)


def _ensure_empty_organization(owner_email: str) -> None:
    empty, _ = Organization.objects.get_or_create(name=EMPTY_NAME)
    owner = User.objects.get(email=owner_email)
    Membership.objects.get_or_create(organization=empty, user=owner, defaults={"role": Role.OWNER})


def replace_sdk_key(app: App) -> str:
    for old in SdkKey.objects.filter(app=app, name=_DEMO_KEY, revoked_at=None):
        old.revoke()
    fresh = keys.make_key(keys.SDK_KEY)
    SdkKey.objects.create(
        app=app, name=_DEMO_KEY, kind=SdkKey.Kind.SERVER, prefix=fresh.prefix, hash=fresh.hash
    )
    return fresh.secret


def _replace_api_token() -> str:
    for old in ApiToken.objects.filter(name=_DEMO_KEY, revoked_at=None):
        old.revoke()
    fresh = keys.make_key(keys.API_TOKEN)
    ApiToken.objects.create(name=_DEMO_KEY, role=Role.OWNER, prefix=fresh.prefix, hash=fresh.hash)
    return fresh.secret
