"""What people declare."""

from apps_registry.models.apps import App, BundleId, Platform, SdkKey
from apps_registry.models.audit import AuditEntry
from apps_registry.models.campaigns import Campaign
from apps_registry.models.invitations import Invitation
from apps_registry.models.organizations import Membership, Organization, User
from apps_registry.models.partners import Partner, PartnerCredential
from apps_registry.models.signing import SigningSecret
from apps_registry.models.tokens import ApiToken

__all__ = [
    "ApiToken",
    "App",
    "AuditEntry",
    "BundleId",
    "Campaign",
    "Invitation",
    "Membership",
    "Organization",
    "Partner",
    "PartnerCredential",
    "Platform",
    "SdkKey",
    "SigningSecret",
    "User",
]
