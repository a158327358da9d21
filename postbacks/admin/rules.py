"""Callback rules: the form that marketers fill in, and what each saved version said."""

from django import forms
from django.contrib import admin
from django.db.models import JSONField
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps_registry.models import User
from apps_registry.tenant_admin import (
    ArchivingAdmin,
    ReadOnlyInline,
    TenantRelatedFilter,
)
from postbacks import rulebook
from postbacks.admin.json_values import JSONObjectField, pretty
from postbacks.admin.rule_form import CallbackRuleForm
from postbacks.models import CallbackRule, CallbackRuleVersion, RuleStatus


class VersionInline(ReadOnlyInline):
    """What the rule said when it was saved, newest first."""

    model = CallbackRuleVersion
    fields = ["number", "created_at", "saved_by", "definition_shown"]
    related = ("saved_by",)
    ordering = ["-number"]

    @admin.display(description="definition")
    def definition_shown(self, version: CallbackRuleVersion) -> SafeString:
        """Show the whole rule of this version."""
        return pretty(version.definition)


@admin.register(CallbackRule)
class CallbackRuleAdmin(ArchivingAdmin):
    """Which events send a postback to whom, and what it says."""

    form = CallbackRuleForm
    archived = RuleStatus.ARCHIVED
    formfield_overrides = {JSONField: {"form_class": JSONObjectField}}
    list_display = ["name", "status", "app", "partner", "triggers", "version", "updated_at"]
    list_select_related = ["app", "partner"]
    list_filter = ["status", ("app", TenantRelatedFilter), ("partner", TenantRelatedFilter)]
    search_fields = ["name", "url"]
    ordering = ["name"]
    readonly_fields = ["public_id", "version", "created_at", "updated_at"]
    fieldsets = [
        (None, {"fields": ["name", "status", "app", "partner"]}),
        (
            "When it sends",
            {
                "fields": [
                    "triggers",
                    "frequency",
                    "attribution_scope",
                    "event_map",
                    "window_days",
                    "sampling_percent",
                    "delay_seconds",
                ]
            },
        ),
        (
            "What it sends",
            {
                "fields": [
                    "method",
                    "url",
                    "headers",
                    "body_type",
                    "body",
                    "missing_values",
                    "send_revenue",
                    "without_consent",
                ]
            },
        ),
        ("How it is delivered", {"fields": ["success", "timeout_seconds", "retry_delays"]}),
        ("History", {"fields": ["public_id", "version", "created_at", "updated_at"]}),
    ]
    inlines = [VersionInline]

    def save_model(
        self, request: HttpRequest, obj: CallbackRule, form: forms.ModelForm, change: bool
    ) -> None:
        """Save a rule that the form has found to be right, with its version."""
        rulebook.save(obj, by=request.user if isinstance(request.user, User) else None)
