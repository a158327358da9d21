"""The rows that people set up: organizations, apps, partners, campaigns, keys and settings."""

from apps_registry.models.apps import App, BundleId, Platform, SdkKey
from apps_registry.models.attribution_settings import AttributionSettings, ReinstallEvents
from apps_registry.models.audit import AuditEntry
from apps_registry.models.campaigns import Campaign
from apps_registry.models.click_signing import ClickSigningKey
from apps_registry.models.conversions import ConversionMeaning
from apps_registry.models.invitations import Invitation
from apps_registry.models.organizations import ConfigurationVersion, Membership, Organization, User
from apps_registry.models.partners import Partner, PartnerCredential
from apps_registry.models.referrer_keys import ReferrerKey
from apps_registry.models.signing import SigningSecret
from apps_registry.models.store_claims import ClaimState, StoreClaim
from apps_registry.models.tokens import ApiToken
from apps_registry.models.tracking_links import TrackingLink

__all__ = [
    "ApiToken",
    "App",
    "AttributionSettings",
    "AuditEntry",
    "BundleId",
    "Campaign",
    "ClaimState",
    "ClickSigningKey",
    "ConfigurationVersion",
    "ConversionMeaning",
    "Invitation",
    "Membership",
    "Organization",
    "Partner",
    "PartnerCredential",
    "Platform",
    "ReferrerKey",
    "ReinstallEvents",
    "SdkKey",
    "SigningSecret",
    "StoreClaim",
    "TrackingLink",
    "User",
]
