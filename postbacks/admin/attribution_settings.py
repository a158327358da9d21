"""The pages of attribution settings: the waterfall of all apps, and the settings by scope."""

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import BooleanField, Field, Manager, Model, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.tenant_admin import TenantAdmin, TenantForm, TenantRelatedFilter
from apps_registry.admin_base.theme import Select
from apps_registry.models import App, AttributionSettings, Partner, TrackingLink
from apps_registry.roles import Right
from postbacks.admin.attribution_settings_wording import (
    SETTINGS,
    SettingsScope,
    inherited_labels,
    is_set,
    scope_of,
    set_rows,
    waterfall,
)
from postbacks.admin.logs.base import is_id

_FIRST_SETTING = next(iter(SETTINGS))
_SCOPE = ("app", "partner", "link")


class SwitchField(forms.NullBooleanField):
    """On, off, or inherited from a wider scope."""

    def __init__(self, **kwargs: Any) -> None:
        choices = [("", "Not set here"), ("True", "On"), ("False", "Off")]
        super().__init__(widget=Select(choices=choices), required=False, **kwargs)


class AttributionSettingsForm(TenantForm):
    """Requires at least one setting, and a link without app and partner."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        link: Any = self.fields.get("link")  # absent where it is read-only
        if link:
            rows = link.queryset.select_related("campaign")
            link.queryset = rows.order_by("campaign__name", "name")
            link.label_from_instance = _with_campaign

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if cleaned.get("link") and (cleaned.get("app") or cleaned.get("partner")):
            self.add_error(
                "link", "A link has its own app and partner. Leave those empty, or the link."
            )
        has_errors = any(column in self.errors for column in SETTINGS)
        if not has_errors and not any(is_set(cleaned.get(column)) for column in SETTINGS):
            self.add_error(
                _FIRST_SETTING, "Fill in at least one setting. What stays empty is inherited."
            )
        return cleaned


def _with_campaign(link: TrackingLink) -> str:
    return f"{link} of {link.campaign}"


@admin.register(AttributionSettings)
class AttributionSettingsAdmin(TenantAdmin):
    """Settings of an app, a partner or a link that differ from those of all apps."""

    form = AttributionSettingsForm
    list_title = "Attribution"
    empty_list_text = (
        "The windows above hold everywhere. Add settings where an app, a partner or a link needs "
        "others, for example a shorter window for impressions."
    )
    list_display = ["whose", "sets"]
    list_select_related = ["app", "partner", "link"]
    list_filter = [("app", TenantRelatedFilter), ("partner", TenantRelatedFilter)]
    search_fields = ["app__name", "partner__name", "link__name"]
    search_help_text = "App, partner or link"
    export_values = {
        "sets": lambda row: "; ".join(f"{name}: {value}" for name, value in set_rows(row))
    }
    ordering = ["pk"]
    fixed_fields = _SCOPE
    right_to_delete = Right.SET_UP
    detail_fields = ("public_id",)
    readonly_fields = detail_fields
    fieldsets = [
        (
            "For whom",
            {
                "fields": _SCOPE,
                "description": "A link's settings hold before a partner's, those before an app's, "
                "and those before what is set for all apps (all three empty). App and partner "
                "together: for this partner in this app.",
            },
        ),
        (
            "Windows",
            {
                "fields": ("click_window_hours", "impression_window_hours"),
                "description": "How long before the install a touchpoint may have been and still "
                "win.",
            },
        ),
        (
            "Probabilistic matches",
            {
                "fields": (
                    "probabilistic_clicks",
                    "probabilistic_click_window_minutes",
                    "probabilistic_impressions",
                    "probabilistic_impression_window_minutes",
                    "probabilistic_on_ios",
                ),
                "description": "Where ad and app share no ID, address and kind of device can still "
                "match. Such a match is probabilistic: two people behind one address can look like "
                "one. In many countries it needs the person's consent, and Apple's rules forbid it "
                "on iOS.",
            },
        ),
        (
            "People who come back",
            {
                "fields": (
                    "reattribution_window_days",
                    "reinstall_events",
                    "inactivity_days",
                    "reengagement_window_days",
                ),
                "description": "When a device is new again, and when a click wins somebody back.",
            },
        ),
        (
            "Fraud",
            {
                "fields": ("least_seconds_to_install", "most_touchpoints_per_hour"),
                "description": "What is too quick, or too much, to be a person.",
            },
        ),
    ]

    class Media:
        css = {"all": ["postbacks/attribution.css"]}

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        rows = super().get_queryset(request)
        return rows.select_related(
            "app", "partner", "link__campaign__app", "link__campaign__partner"
        )

    @admin.display(description="for")
    def whose(self, row: AttributionSettings) -> str:
        scope = str(scope_of(row))
        return scope[:1].upper() + scope[1:]

    @admin.display(description="sets")
    def sets(self, row: AttributionSettings) -> SafeString | str:
        rows = set_rows(row)
        items = format_html_join("", "<li>{}: <strong>{}</strong></li>", rows)
        return format_html('<ul class="at-sets">{}</ul>', items) if rows else "Nothing"

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, BooleanField):
            label = str(db_field.verbose_name)
            label = label[:1].upper() + label[1:]
            return SwitchField(label=label, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        scope = (
            scope_of(obj) if isinstance(obj, AttributionSettings) else _scope_in_address(request)
        )
        for column, label in inherited_labels(scope).items():
            if field := form_class.base_fields.get(column):
                field.help_text = format_html("{} Empty: {}.", field.help_text, label)
        return form_class

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {"waterfall": waterfall(), **(extra_context or {})}
        return super().changelist_view(request, context)


def _scope_in_address(request: HttpRequest) -> SettingsScope:
    rows: dict[str, Manager[Any]] = {
        "app": App.objects,
        "partner": Partner.objects,
        "link": TrackingLink.objects,
    }
    scope: dict[str, Any] = {
        name: rows[name].filter(pk=key).first()
        for name in _SCOPE
        if is_id(key := request.GET.get(name, ""))
    }
    return SettingsScope(**scope)
