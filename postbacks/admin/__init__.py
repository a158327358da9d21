"""The admin: people set up apps, partners and rules here, and read the logs."""

from typing import cast

from django.contrib import admin

from apps_registry.admin import AppAdmin, PartnerAdmin, SdkKeyAdmin
from postbacks.admin import operator
from postbacks.admin.alerts.admin import AlertAdmin
from postbacks.admin.alerts.views import alerts_of_overview
from postbacks.admin.attribution_settings import AttributionSettingsAdmin
from postbacks.admin.campaigns.admin import CampaignAdmin
from postbacks.admin.campaigns.tracking_links import TrackingLinkAdmin
from postbacks.admin.export_schedules import ExportScheduleAdmin
from postbacks.admin.hubs import app_hub, partner_hub
from postbacks.admin.installs.admin import InstallAdmin
from postbacks.admin.list_health import ListHealth
from postbacks.admin.logs.audit_log import AuditEntryAdmin
from postbacks.admin.logs.discrepancies import DiscrepancyAdmin
from postbacks.admin.logs.events import DecisionFailureAdmin, EventAdmin
from postbacks.admin.logs.exports import ExportAdmin
from postbacks.admin.logs.postbacks import DeliveryAttemptAdmin, PostbackAdmin
from postbacks.admin.logs.refused_events import RefusedEventAdmin
from postbacks.admin.logs.replays import ReplayAdmin
from postbacks.admin.logs.skan import SkanPostbackAdmin
from postbacks.admin.pages import configuration, forget_device, fraud_report, live, search
from postbacks.admin.rules.admin import CallbackRuleAdmin
from postbacks.admin.rules.expensive import expensive_of_overview
from postbacks.admin.rules.held import what_archiving_partners_skips
from postbacks.admin.test_devices import TestDeviceAdmin
from postbacks.admin.touchpoints import TouchpointAdmin
from postbacks.admin_site import PostbacksAdminSite
from postbacks.insights.figure_parts import Subject

PartnerAdmin.archiving_notes = (what_archiving_partners_skips,)
AppAdmin.health = ListHealth(Subject.APP)
PartnerAdmin.health = ListHealth(Subject.PARTNER)
AppAdmin.more_context.append(app_hub)
PartnerAdmin.more_context.append(partner_hub)
SdkKeyAdmin.more_context.append(live.panel_of_key)

site = cast("PostbacksAdminSite", admin.site)
site.more_index.extend((alerts_of_overview, expensive_of_overview))
site.add_page("configuration/export/", configuration.export_page, "export_configuration")
site.add_page("configuration/import/", configuration.import_page, "import_configuration")
site.add_page("fraud-report/", fraud_report.fraud_page, "fraud_report")
site.add_page("live/", live.live_page, "live")
site.add_page("live/rows/", live.live_rows, "live_rows")
site.add_page("forget-device/", forget_device.forget_page, "forget_device")
site.add_page("search/", search.search_page, "search")
site.add_page("device/", search.device_page, "device")
for route, view, name in (
    ("installation/", operator.show_installation, "installation"),
    ("organizations/", operator.list_organizations, "organizations"),
    ("organizations/<uuid:organization>/enter/", operator.enter, "enter_organization"),
    ("leave-organization/", operator.leave, "leave_organization"),
    ("store-ids/", operator.list_store_ids, "store_ids"),
    ("store-ids/decide/", operator.decide_store_id, "decide_store_id"),
):
    site.add_page(route, view, name, for_members=False)  # they let only operators in

__all__ = [
    "AlertAdmin",
    "AttributionSettingsAdmin",
    "AuditEntryAdmin",
    "CallbackRuleAdmin",
    "CampaignAdmin",
    "DecisionFailureAdmin",
    "DeliveryAttemptAdmin",
    "DiscrepancyAdmin",
    "EventAdmin",
    "ExportAdmin",
    "ExportScheduleAdmin",
    "InstallAdmin",
    "PostbackAdmin",
    "RefusedEventAdmin",
    "ReplayAdmin",
    "SkanPostbackAdmin",
    "TestDeviceAdmin",
    "TouchpointAdmin",
    "TrackingLinkAdmin",
]
