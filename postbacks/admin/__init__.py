"""The pages on which people say what is sent, and see what was."""

from postbacks.admin.attempts import DeliveryAttemptAdmin
from postbacks.admin.attribution_settings import AttributionSettingsAdmin
from postbacks.admin.audit_log import AuditEntryAdmin
from postbacks.admin.campaigns.admin import CampaignAdmin
from postbacks.admin.campaigns.tracking_links import TrackingLinkAdmin
from postbacks.admin.events import DecisionFailureAdmin, EventAdmin
from postbacks.admin.installs.admin import InstallAdmin
from postbacks.admin.postbacks import PostbackAdmin
from postbacks.admin.rules import CallbackRuleAdmin
from postbacks.admin.skan_postbacks import SkanPostbackAdmin

__all__ = [
    "AttributionSettingsAdmin",
    "AuditEntryAdmin",
    "CallbackRuleAdmin",
    "CampaignAdmin",
    "DecisionFailureAdmin",
    "DeliveryAttemptAdmin",
    "EventAdmin",
    "InstallAdmin",
    "PostbackAdmin",
    "SkanPostbackAdmin",
    "TrackingLinkAdmin",
]
