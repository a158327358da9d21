"""Events and what became of them; and events whose decision failed."""

from django.contrib import admin
from django.utils.safestring import SafeString

from apps_registry.tenant_admin import TenantRelatedFilter
from postbacks.admin.json_values import pretty
from postbacks.admin.log_pages import LogAdmin, LogInline
from postbacks.models import DecisionFailure, Event, Postback


class PostbackInline(LogInline):
    """What an event led to, rule by rule."""

    model = Postback
    fields = [
        "public_id", "rule", "rule_version", "status", "reason", "test", "attempts_made",
        "created_at", "next_attempt_at", "delivered_at",
    ]  # fmt: skip
    related = ("rule",)
    ordering = ["id"]
    show_change_link = True


@admin.register(Event)
class EventAdmin(LogAdmin):
    """What apps reported."""

    list_display = [
        "received_at", "event_name", "app", "platform", "customer_user_id", "revenue", "currency",
        "source",
    ]  # fmt: skip
    list_select_related = ["app"]
    list_filter = [("app", TenantRelatedFilter), "source"]
    found_by = ("event_id",)
    ordering = ["-received_at", "-id"]
    fields = [
        "event_id", "event_name", "app", "bundle_id", "platform", "event_time", "received_at",
        "source", "device", "customer_user_id", "revenue", "currency", "fields_shown",
        "params_shown",
    ]  # fmt: skip
    inlines = [PostbackInline]

    @admin.display(description="fields")
    def fields_shown(self, event: Event) -> SafeString:
        """Show every other field of the SDK API."""
        return pretty(event.fields)

    @admin.display(description="params")
    def params_shown(self, event: Event) -> SafeString:
        """Show what the app sent besides."""
        return pretty(event.params)


@admin.register(DecisionFailure)
class DecisionFailureAdmin(LogAdmin):
    """Events that we could not decide on yet. They are tried again by themselves."""

    list_display = ["received_at", "error", "tries", "next_try_at"]
    ordering = ["-received_at", "-id"]
