"""The pages of SDK keys: rotation with an overlap, and how to move over from Tenjin."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from apps_registry.admin.keys import KeyAdmin
from apps_registry.admin_base.own_pages import row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.snippets import event_snippet, tenjin_snippet
from apps_registry.admin_base.tenant_admin import SubPage, TenantRelatedFilter
from apps_registry.crypto import keys
from apps_registry.models import BundleId, SdkKey
from apps_registry.models.apps import KeyEndedError
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


class RotationForm(forms.Form):
    """Asks how long the old key still works."""

    overlap = forms.ChoiceField(
        label="The old key ends",
        choices=[
            ("0", "at once"),
            ("1", "in 1 hour"),
            ("24", "in 24 hours"),
            ("168", "in 7 days"),
            ("720", "in 30 days"),
        ],
        initial="24",
        widget=forms.Select(attrs={"class": "pb-input"}),
        help_text=(
            "Long enough for everything that uses it to get the new one, for example 24 hours for "
            "your server. Apps on devices take longer: people update when they like."
        ),
    )


@admin.register(SdkKey)
class SdkKeyAdmin(KeyAdmin):
    """Keys with which apps report events."""

    key_prefix = keys.SDK_KEY
    empty_list_text = "Add a key for an app, then report its first event with it."
    next_step = "Report a first event with it; seconds later it appears below."
    list_display = ["label", "app", "kind", "state", "created", "last_used"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter), "kind"]
    search_fields = ["name", "prefix"]
    search_help_text = "Name or first characters"
    fixed_fields = ("app", "kind")
    # What other packages show beside a new key, for its template.
    more_context: ClassVar[list[Callable[[SdkKey], dict[str, object]]]] = []
    fieldsets = [
        (
            None,
            {
                "fields": ["app", "name", "kind"],
                "description": "The SDK or your server sends the key with each event. It is shown "
                "once, right after you save.",
            },
        )
    ]

    def get_urls(self) -> list[URLPattern]:
        return [
            *row_paths(self, rotate=self.rotate_view),
            *FromTenjinPage(self).urls,
            *super().get_urls(),
        ]

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        key = kwargs.get("obj")
        if isinstance(key, SdkKey):
            is_current = key.revoked_at is None and key.expires_at is None
            context["may_rotate"] = is_current and self.has_change_permission(request, key)
            context["ends_at"] = key.expires_at if key.revoked_at is None else None
        return super().render_change_form(request, context, *args, **kwargs)

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        key = self.get_object(request, object_id)
        if not isinstance(key, SdkKey):
            raise Http404
        if not self.has_change_permission(request, key):
            raise PermissionDenied
        if redirect := self.already_submitted(request):
            return redirect
        form = RotationForm(request.POST or None)
        if form.is_valid():
            return self._rotate(request, key, timedelta(hours=int(form.cleaned_data["overlap"])))
        context = {
            **self.admin_site.each_context(request),
            "title": f"Rotate {key}",
            "opts": self.opts,
            "key": key,
            "form": form,
        }
        return TemplateResponse(request, "admin/apps_registry/sdkkey/rotate.html", context)

    def _rotate(self, request: HttpRequest, key: SdkKey, overlap: timedelta) -> HttpResponse:
        try:
            successor, secret = key.rotate(overlap=overlap)
        except KeyEndedError as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(
                reverse("admin:apps_registry_sdkkey_change", args=[str(key.pk)])
            )
        self.log_change(request, key, "Rotated.")
        return self.show_once(request, successor, secret)

    def context_of_new_key(self, key: SdkKey) -> dict[str, object]:
        return {name: value for make in self.more_context for name, value in make(key).items()}

    def snippet(self, key: SdkKey, secret: str) -> str:
        return event_snippet(settings.PUBLIC_URL, secret, key.app.platform)

    @admin.display(description="key", ordering="name")
    def label(self, key: SdkKey) -> str:
        return str(key)


class FromTenjinPage(SubPage):
    """The page below the list of SDK keys."""

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
