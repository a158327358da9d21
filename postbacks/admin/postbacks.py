"""Postbacks: what was owed, what became of it, and sending it again."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.roles import Right
from apps_registry.tenant_admin import TenantRelatedFilter, allowed
from postbacks.admin.attempts import DeliveryAttemptInline
from postbacks.admin.log_pages import LogAdmin
from postbacks.delivery.resend import NotResendableError, resend
from postbacks.models import Postback

RESENT_AT_ONCE = 200


@admin.register(Postback)
class PostbackAdmin(LogAdmin):
    """The delivery log."""

    list_display = [
        "created_at", "public_id", "rule", "app", "status", "reason", "attempts_made",
        "next_attempt_at", "delivered_at", "test",
    ]  # fmt: skip
    list_select_related = ["rule", "app"]
    list_filter = ["status", ("rule", TenantRelatedFilter), ("app", TenantRelatedFilter), "test"]
    found_by = ("public_id", "sdk_event_id")
    search_help_text = "Search by the exact id of a postback or an event (UUID)."
    ordering = ["-event_received_at", "-id"]
    fields = [
        "public_id", "rule", "rule_version", "app", "event_link", "event_received_at", "status",
        "reason", "test", "attempts_made", "created_at", "next_attempt_at", "delivered_at",
    ]  # fmt: skip
    inlines = [DeliveryAttemptInline]
    actions = ["resend_selected"]

    @admin.display(description="event")
    def event_link(self, postback: Postback) -> SafeString:
        """Lead to the event without reading it."""
        url = reverse("admin:postbacks_event_change", args=[postback.event_id])
        return format_html('<a href="{}">{}</a>', url, postback.sdk_event_id)

    def has_resend_permission(self, request: HttpRequest) -> bool:
        """Let those resend whose role may."""
        return allowed(request, Right.RESEND)

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """Show one postback with a button to resend it."""
        context = {**(extra_context or {}), "may_resend": self.has_resend_permission(request)}
        return super().change_view(request, object_id, form_url, context)

    @admin.action(permissions=["resend"], description="Resend selected postbacks")
    def resend_selected(
        self, request: HttpRequest, queryset: QuerySet[Postback]
    ) -> TemplateResponse | None:
        """Have postbacks sent now, after asking."""
        chosen = list(queryset[: RESENT_AT_ONCE + 1])
        if len(chosen) > RESENT_AT_ONCE:
            words = f"Choose at most {RESENT_AT_ONCE} postbacks at once."
            self.message_user(request, words, messages.ERROR)
            return None
        question = "Send these postbacks again?"
        if page := self.ask_first(request, chosen, action="resend_selected", question=question):
            return page
        sent = sum(self._resend(request, postback) for postback in chosen)
        if sent:
            self.message_user(request, f"{sent} on the way.", messages.SUCCESS)
        return None

    def _resend(self, request: HttpRequest, postback: Postback) -> bool:
        try:
            resend(postback)
        except NotResendableError as refusal:
            self.message_user(request, f"{postback}: {refusal}", messages.WARNING)
            return False
        self.log_change(request, postback, "Resent.")
        return True
