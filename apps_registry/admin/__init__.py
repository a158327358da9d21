"""The admin pages on which people set up their organization."""

from apps_registry.admin.api_tokens import ApiTokenAdmin
from apps_registry.admin.apps import AppAdmin, BundleIdAdmin
from apps_registry.admin.organizations import OrganizationAdmin
from apps_registry.admin.partners import PartnerAdmin
from apps_registry.admin.people import InvitationAdmin, MembershipAdmin
from apps_registry.admin.sdk_keys import SdkKeyAdmin
from apps_registry.admin.signing import ClickSigningKeyAdmin, SigningSecretAdmin

__all__ = [
    "ApiTokenAdmin",
    "AppAdmin",
    "BundleIdAdmin",
    "ClickSigningKeyAdmin",
    "InvitationAdmin",
    "MembershipAdmin",
    "OrganizationAdmin",
    "PartnerAdmin",
    "SdkKeyAdmin",
    "SigningSecretAdmin",
]
