"""The page that explains how to move over from Tenjin."""

from django.conf import settings
from django.contrib.admin import ModelAdmin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.snippets import tenjin_snippet
from apps_registry.models import BundleId
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle

TENJINS_HOST = "https://track.tenjin.com"

# Tenjin's calls and their equivalents here: what the call reports, its path, our event.
_TENJIN_CALLS = (
    ("First open of the app", "/v0/event", "An install; every later one is an open."),
    ("Your own event", "/v0/event", "An event of the same name. Its value is the macro value."),
    ("Purchase", "/v0/purchase", "A purchase. Its revenue is the price times the quantity."),
    ("Ad revenue", "/v0/ad_impression", "An ad_impression, with the mediation's revenue."),
    ("Conversion value", "/v0/conversion-values", "An event conversion_value."),
    ("Who earned this install?", "/v0/user", "The network and campaign that we credit."),
)


class FromTenjinPage:
    """The page below the list of SDK keys."""

    def __init__(self, model_admin: ModelAdmin) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site

    @property
    def urls(self) -> list[URLPattern]:
        view = self.site.admin_view(self.view)
        return [path("from-tenjin/", view, name="apps_registry_sdkkey_from_tenjin")]

    def view(self, request: HttpRequest) -> HttpResponse:
        bundle_id = (
            BundleId.objects.filter(app__status=Lifecycle.ACTIVE)
            .select_related("app")
            .order_by("pk")
            .first()
        )
        platform = bundle_id.app.platform if bundle_id else "ios"
        identifier = bundle_id.identifier if bundle_id else "com.example.game"
        context = {
            **self.site.each_context(request),
            "opts": self.model_admin.opts,
            "title": "Move over from Tenjin",
            "back": reverse("admin:apps_registry_sdkkey_changelist"),
            "old_host": TENJINS_HOST,
            "host": settings.PUBLIC_URL,
            "understood": _TENJIN_CALLS,
            "snippet": tenjin_snippet(settings.PUBLIC_URL, identifier, platform),
            "may_add_keys": allowed(request, Right.MANAGE),
        }
        return TemplateResponse(request, "admin/apps_registry/sdkkey/from_tenjin.html", context)
