"""The addresses of the API and of its OpenAPI document."""

from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path
from django.views.decorators.csrf import csrf_exempt
from django.views.generic import RedirectView
from rest_framework.routers import SimpleRouter

from postbacks.api.resources.alerts import (
    AlertIncidentViewSet,
    AlertNoticeViewSet,
    AlertViewSet,
)
from postbacks.api.resources.apps import AppViewSet, BundleIdViewSet
from postbacks.api.resources.attribution import AttributionSettingsViewSet, TestDeviceViewSet
from postbacks.api.resources.catalogues import MacroViewSet, PartnerTemplateViewSet
from postbacks.api.resources.discrepancies import DiscrepancyLineViewSet, DiscrepancyViewSet
from postbacks.api.resources.events import EventViewSet
from postbacks.api.resources.export_schedules import ExportScheduleViewSet
from postbacks.api.resources.exports import ExportViewSet
from postbacks.api.resources.installs import InstallViewSet
from postbacks.api.resources.keys import ApiTokenViewSet, SdkKeyViewSet
from postbacks.api.resources.metrics import MetricsViewSet
from postbacks.api.resources.organization import AuditLogViewSet, OwnOrganizationViewSet
from postbacks.api.resources.partners import CampaignViewSet, PartnerViewSet, TrackingLinkViewSet
from postbacks.api.resources.people import InvitationViewSet, MemberViewSet
from postbacks.api.resources.postbacks import PostbackViewSet
from postbacks.api.resources.refused_events import RefusedEventViewSet
from postbacks.api.resources.replays import ReplayViewSet
from postbacks.api.resources.rules.viewset import RuleViewSet
from postbacks.api.resources.saved_views import SavedViewViewSet
from postbacks.api.resources.search import SearchViewSet
from postbacks.api.resources.signing import ClickSigningKeyViewSet, SigningSecretViewSet
from postbacks.api.resources.skan_postbacks import SkanPostbackViewSet
from postbacks.api.resources.touchpoints import TouchpointViewSet
from postbacks.api.schema import DocsView, SchemaView
from postbacks.api.sdk.forget_device import ErasureProgressView, ForgetDeviceView
from postbacks.web.middleware import own_transactions
from postbacks.web.problem_documents import problem

router = SimpleRouter(trailing_slash=False, use_regex_path=False)
router.register("v1/apps", AppViewSet, "app")
router.register("v1/bundle-ids", BundleIdViewSet, "bundle-id")
router.register("v1/sdk-keys", SdkKeyViewSet, "sdk-key")
router.register("v1/api-tokens", ApiTokenViewSet, "api-token")
router.register("v1/partners", PartnerViewSet, "partner")
router.register("v1/partner-templates", PartnerTemplateViewSet, "partner-template")
router.register("v1/campaigns", CampaignViewSet, "campaign")
router.register("v1/attribution-settings", AttributionSettingsViewSet, "attribution-settings")
router.register("v1/click-signing-keys", ClickSigningKeyViewSet, "click-signing-key")
router.register("v1/test-devices", TestDeviceViewSet, "test-device")
router.register("v1/tracking-links", TrackingLinkViewSet, "tracking-link")
router.register("v1/callback-rules", RuleViewSet, "callback-rule")
router.register("v1/organization/signing-secrets", SigningSecretViewSet, "signing-secret")
router.register("v1/events", EventViewSet, "event")
router.register("v1/installs", InstallViewSet, "install")
router.register("v1/touchpoints", TouchpointViewSet, "touchpoint")
router.register("v1/refused-events", RefusedEventViewSet, "refused-event")
router.register("v1/postbacks", PostbackViewSet, "postback")
router.register("v1/replays", ReplayViewSet, "replay")
router.register("v1/saved-views", SavedViewViewSet, "saved-view")
router.register("v1/exports", ExportViewSet, "export")
router.register("v1/export-schedules", ExportScheduleViewSet, "export-schedule")
router.register("v1/discrepancies", DiscrepancyViewSet, "discrepancy")
router.register("v1/alerts", AlertViewSet, "alert")
router.register("v1/skan-postbacks", SkanPostbackViewSet, "skan-postback")
router.register("v1/audit-log", AuditLogViewSet, "audit-entry")
router.register("v1/members", MemberViewSet, "member")
router.register("v1/invitations", InvitationViewSet, "invitation")


@csrf_exempt
@own_transactions
def nothing_here(request: HttpRequest, address: str) -> HttpResponse:
    """Answer for an address that does not exist, as the rest of the API answers."""
    hint = " Addresses end without a slash." if address.endswith("/") else ""
    return problem(404, f"There is nothing at this address.{hint}")


urlpatterns: list[URLPattern | URLResolver] = [
    *router.urls,
    path(
        "v1/organization",
        OwnOrganizationViewSet.as_view({"get": "retrieve", "patch": "partial_update"}),
        name="organization",
    ),
    path(
        "v1/organization/export",
        OwnOrganizationViewSet.as_view({"get": "export"}),
        name="organization-export",
    ),
    path(
        "v1/organization/import",
        OwnOrganizationViewSet.as_view({"post": "import_configuration"}),
        name="organization-import",
    ),
    path(
        "v1/discrepancies/<uuid:id>/lines",
        DiscrepancyLineViewSet.as_view({"get": "list"}),
        name="discrepancy-lines",
    ),
    path(
        "v1/alerts/<uuid:id>/incidents",
        AlertIncidentViewSet.as_view({"get": "list"}),
        name="alert-incidents",
    ),
    path(
        "v1/alerts/<uuid:id>/notices",
        AlertNoticeViewSet.as_view({"get": "list"}),
        name="alert-notices",
    ),
    path("v1/forget-device", ForgetDeviceView.as_view(), name="forget-device"),
    path("v1/forget-device/<uuid:id>", ErasureProgressView.as_view(), name="forgetting"),
    path("v1/metrics", MetricsViewSet.as_view({"get": "list"}), name="metrics"),
    path("v1/search", SearchViewSet.as_view({"get": "search"}), name="search"),
    path(
        "v1/devices/explain",
        SearchViewSet.as_view({"get": "explain_device"}),
        name="explain-device",
    ),
    path("v1/macros", MacroViewSet.as_view({"get": "catalogue"}), name="macros"),
    path("schema/", SchemaView.as_view(), name="schema"),
    path("schema", RedirectView.as_view(pattern_name="schema")),
    path("docs/", DocsView.as_view(url_name="schema"), name="docs"),
    path("docs", RedirectView.as_view(pattern_name="docs")),
    path("<path:address>", nothing_here),
]
