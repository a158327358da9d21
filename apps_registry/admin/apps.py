"""The pages of apps and their bundle IDs."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from apps_registry.admin.conversions import CoarseInline, FineInline
from apps_registry.admin_base.list_cells import CreatedColumn, HideArchived, LifecycleColumns
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.snippets import event_snippet
from apps_registry.admin_base.tenant_admin import (
    ArchivingAdmin,
    SecretInline,
    TenantAdmin,
    TenantForm,
    TenantInline,
    TenantRelatedFilter,
)
from apps_registry.admin_base.time_zones import TimeZoneAdmin
from apps_registry.models import App, BundleId, ClaimState, Platform, ReferrerKey, SdkKey
from apps_registry.models.apps import store_number
from apps_registry.models.referrer_keys import REFERRER_KEY
from apps_registry.roles import Right


class BundleIdInline(TenantInline):
    """The app's identifiers in the stores."""

    model = BundleId
    fields = ["identifier"]
    hide_title = True
    explained = "The names by which stores know the app. Events that name one belong to this app."
    right_to_delete = Right.SET_UP


class ReferrerKeyForm(TenantForm):
    """Sets or replaces the key, which is never shown."""

    secret = forms.CharField(
        label="Key",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "pb-input"}),
        validators=[REFERRER_KEY],
        help_text=(
            "In Meta's app dashboard under Settings → Basic → Android: 64 characters, for example "
            "0f3a…c41d. Empty: the key stays as it is."
        ),
    )

    class Meta:
        model = ReferrerKey
        fields: ClassVar[list[str]] = []

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.fields["secret"].required = self.instance.pk is None

    def save(self, commit: bool = True) -> ReferrerKey:
        if secret := self.cleaned_data["secret"]:
            self.instance.seal(secret.lower())
        key: ReferrerKey = super().save(commit)
        return key


class ReferrerKeyInline(SecretInline):
    """The key that decrypts Meta's part of the Play store's referrer."""

    model = ReferrerKey
    form = ReferrerKeyForm
    fields = ["secret", "stored"]
    readonly_fields = ["stored"]
    max_num = 1
    hide_title = True
    explained = (
        "Meta encrypts which of its ads led to Google Play. With this key, and a partner named "
        "Meta, installs from Meta are credited to it with their campaign."
    )
    right_to_delete = Right.SET_UP

    @admin.display(description="stored")
    def stored(self, key: ReferrerKey) -> str:
        return key.masked if key.pk else ""


_COPIES_BY_CLAIM = {
    ClaimState.ACCEPTED: "Copies of Apple's postbacks with this store ID come to this app.",
    ClaimState.WAITING: (
        "Another organization has this store ID. No copies come until the operator has decided."
    ),
    ClaimState.REFUSED: "The operator has decided that this store ID is another organization's.",
}


_INLINES_BY_PLATFORM: Mapping[str, Sequence[Any]] = {
    Platform.IOS: (FineInline, CoarseInline),
    Platform.ANDROID: (ReferrerKeyInline,),
}


@admin.register(App)
class AppAdmin(LifecycleColumns, TimeZoneAdmin, ArchivingAdmin):
    """Apps that report events."""

    empty_list_text = (
        "Add the mobile app whose events you want to report, for example Gem Harbor iOS."
    )
    list_display = ["name", "platform", "store_id", "state", "created"]
    list_filter = [HideArchived, "platform"]
    search_fields = ["name", "store_id", "bundle_ids__identifier"]
    search_help_text = "Name, store ID or bundle ID"
    ordering = ["name"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "platform", "store_id"],
                "description": "An app reports its events with an SDK key of its own.",
            },
        ),
        (
            "Reporting",
            {
                "fields": ["time_zone", "store_share"],
                "description": "How days and net revenue of this app are counted.",
            },
        ),
    ]
    detail_fields = ("public_id", "apples_copies", "state", "created")
    readonly_fields = detail_fields
    inlines = [BundleIdInline]

    def get_inlines(self, request: HttpRequest, obj: models.Model | None) -> list[Any]:
        platform = obj.platform if isinstance(obj, App) else ""
        return [*self.inlines, *_INLINES_BY_PLATFORM.get(platform, ())]

    @admin.display(description="Apple's copies")
    def apples_copies(self, app: App) -> str:
        claim = app.store_claims.first()
        if claim is not None:
            return _COPIES_BY_CLAIM[ClaimState(claim.state)]
        if store_number(app):
            return "They go to another app of yours with the same store ID."
        return "They come to an iOS app with the number that Apple gave it as its store ID."

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        app = kwargs.get("obj")
        if isinstance(app, App):
            context["has_key"] = SdkKey.objects.filter(
                models.Q(expires_at=None) | models.Q(expires_at__gt=timezone.now()),
                app=app,
                revoked_at=None,
            ).exists()
            context["may_add_key"] = allowed(request, Right.MANAGE)
            context["may_set_up"] = allowed(request, Right.SET_UP)
            context["first_event"] = event_snippet(
                settings.PUBLIC_URL, "YOUR_SDK_KEY", app.platform
            )
        return super().render_change_form(request, context, *args, **kwargs)

    def response_add(
        self, request: HttpRequest, obj: App, post_url_continue: str | None = None
    ) -> HttpResponse:
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        self.message_user(request, f"{obj} is added.", messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:apps_registry_app_change", args=[str(obj.pk)]))


@admin.register(BundleId)
class BundleIdAdmin(CreatedColumn, TenantAdmin):
    """Bundle IDs of all apps. They can be deleted, since no history refers to them."""

    empty_list_text = (
        "Add the name under which a store knows your app, for example com.example.game."
    )
    list_display = ["identifier", "app", "created"]
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter)]
    search_fields = ["identifier"]
    search_help_text = "Bundle ID"
    ordering = ["identifier"]
    fixed_fields = ("app",)
    detail_fields = ("public_id", "created")
    readonly_fields = detail_fields
    right_to_delete = Right.SET_UP
    fieldsets = [
        (
            None,
            {
                "fields": ["app", "identifier"],
                "description": "Events that name this bundle ID belong to this app.",
            },
        )
    ]
