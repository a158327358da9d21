"""The pages of apps, with the meanings of their conversion values, and of their bundle IDs."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db import models
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from apps_registry.admin_base.form_fields import TimeZoneAdmin
from apps_registry.admin_base.health_columns import HEALTH_COLUMNS, HealthColumns
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
from apps_registry.models import (
    App,
    BundleId,
    ClaimState,
    ConversionMeaning,
    Platform,
    ReferrerKey,
    SdkKey,
)
from apps_registry.models.apps import store_number
from apps_registry.models.conversions import check_meanings
from apps_registry.models.referrer_keys import REFERRER_KEY
from apps_registry.roles import Right

_MEANING = ["event_name", "least_revenue", "most_revenue", "currency"]


class MeaningFormSet(forms.BaseInlineFormSet):
    """Checks that no two rows give the same value a meaning."""

    def clean(self) -> None:
        super().clean()
        if any(self.errors):
            return
        check_meanings(
            form.instance
            for form in self.forms
            if form not in self.deleted_forms and (form.instance.pk or form.has_changed())
        )


class MeaningForm(TenantForm):
    """Requires the fields that its kind of row must have."""

    required_fields: ClassVar[tuple[str, ...]]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        for name in self.required_fields:
            if name in self.fields:  # a read-only page has no fields
                self.fields[name].required = True
        for name in ("least_revenue", "most_revenue"):
            if (amount := self.initial.get(name)) is not None:
                self.initial[name] = f"{amount.normalize():f}"  # without trailing zeros


class FineForm(MeaningForm):
    """Asks for a range of fine values."""

    required_fields = ("first_value", "last_value")


class CoarseForm(MeaningForm):
    """Asks for a coarse value."""

    required_fields = ("coarse_value",)


class MeaningInline(TenantInline):
    """Meanings of one kind, with an empty row for browsers without JavaScript."""

    model = ConversionMeaning
    formset = MeaningFormSet
    extra = 1
    hide_title = True
    right_to_delete = Right.SET_UP

    def rows(self) -> "models.QuerySet[Any]":
        """Return the organization's meanings of this kind."""
        raise NotImplementedError

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        rows = self.rows()
        return rows if self.has_view_permission(request) else rows.none()


class FineInline(MeaningInline):
    """Meanings of ranges of fine values."""

    form = FineForm
    verbose_name = "conversion value"
    verbose_name_plural = "What conversion values mean"
    fields = ["first_value", "last_value", *_MEANING]
    explained = (
        "What your app means by the conversion value that it gives to Apple, from 0 to 63: one row "
        "for a range of values, for example from 10 to 19: purchase, 4.99 to 9.99. Copies keep "
        "what their value meant when they came."
    )

    def rows(self) -> "models.QuerySet[Any]":
        return ConversionMeaning.objects.filter(coarse_value="").order_by("first_value")


class CoarseInline(MeaningInline):
    """Meanings of coarse values, in every postback or in one of the three."""

    form = CoarseForm
    verbose_name = "coarse value"
    verbose_name_plural = "What coarse conversion values mean"
    fields = ["coarse_value", "sequence", *_MEANING]
    explained = (
        "Where few people installed the app, and in the second and third postback, Apple says only "
        "low, medium or high: what each means, for example High in the second postback: subscribed."
    )

    def rows(self) -> "models.QuerySet[Any]":
        rows = ConversionMeaning.objects.exclude(coarse_value="")
        return rows.order_by("coarse_value", "sequence")


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
_COPIES_WAIT = (
    "Copies of Apple's postbacks with this store ID wait until an event of this app has arrived, "
    "which proves that it is yours, or the operator agrees. They are kept for 30 days."
)
_COPIES_ARE_CONTESTED = (
    "Another organization has written this store ID down too. Copies of Apple's postbacks wait "
    "until the operator has decided whose app it is; ask them. They are kept for 30 days."
)


_INLINES_BY_PLATFORM: Mapping[str, Sequence[Any]] = {
    Platform.IOS: (FineInline, CoarseInline),
    Platform.ANDROID: (ReferrerKeyInline,),
}


@admin.register(App)
class AppAdmin(HealthColumns, LifecycleColumns, TimeZoneAdmin, ArchivingAdmin):
    """Apps that report events."""

    empty_list_text = (
        "Add the mobile app whose events you want to report, for example Gem Harbor iOS."
    )
    list_display = ["name", "platform", "store_id", *HEALTH_COLUMNS, "state"]
    export_columns = (*list_display, "created")
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
    # What other packages show on an app's page, for its template.
    more_context: ClassVar[list[Callable[[HttpRequest, App], dict[str, object]]]] = []

    def get_inlines(self, request: HttpRequest, obj: models.Model | None) -> list[Any]:
        platform = obj.platform if isinstance(obj, App) else ""
        return [*self.inlines, *_INLINES_BY_PLATFORM.get(platform, ())]

    @admin.display(description="Apple's copies")
    def apples_copies(self, app: App) -> str:
        claim = app.store_claims.first()
        if claim is not None and claim.state == ClaimState.ACCEPTED and not claim.is_proven:
            return _COPIES_ARE_CONTESTED if claim.is_contested else _COPIES_WAIT
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
            context["copies"] = self.apples_copies(app)
            context["may_add_key"] = allowed(request, Right.MANAGE)
            context["may_set_up"] = allowed(request, Right.SET_UP)
            context["first_event"] = event_snippet(
                settings.PUBLIC_URL, "YOUR_SDK_KEY", app.platform
            )
            for context_of in self.more_context:
                context.update(context_of(request, app))
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
