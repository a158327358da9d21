"""The pages on which people say what is sent, and see what was."""

from postbacks.admin.attribution_settings import AttributionSettingsAdmin
from postbacks.admin.campaigns.admin import CampaignAdmin
from postbacks.admin.campaigns.tracking_links import TrackingLinkAdmin
from postbacks.admin.installs.admin import InstallAdmin
from postbacks.admin.logs.attempts import DeliveryAttemptAdmin
from postbacks.admin.logs.audit_log import AuditEntryAdmin
from postbacks.admin.logs.events import DecisionFailureAdmin, EventAdmin
from postbacks.admin.logs.postbacks import PostbackAdmin
from postbacks.admin.logs.skan import SkanPostbackAdmin
from postbacks.admin.rules.admin import CallbackRuleAdmin

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
