"""Delivery attempts: the page, and the rows inside a postback's page."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from postbacks.admin.json_values import pretty
from postbacks.admin.log_pages import LogAdmin, LogInline
from postbacks.delivery.outcome import Outcome
from postbacks.models import DeliveryAttempt


class ShowsExchange:
    """Shows what was sent and what came back, indented."""

    @admin.display(description="request")
    def request_shown(self, attempt: DeliveryAttempt) -> SafeString:
        """Show the request, in which secrets were masked before it was stored."""
        return pretty(attempt.request)

    @admin.display(description="response")
    def response_shown(self, attempt: DeliveryAttempt) -> SafeString:
        """Show the partner's answer."""
        return pretty(attempt.response)


class DeliveryAttemptInline(ShowsExchange, LogInline):
    """The tries of one postback."""

    model = DeliveryAttempt
    fields = [
        "number", "kind", "started_at", "duration_ms", "outcome", "status_code", "error", "detail",
        "request_shown", "response_shown",
    ]  # fmt: skip
    ordering = ["number"]


class OutcomeFilter(admin.SimpleListFilter):
    """Filters by outcome. Django's own filter would read the whole log to find the values."""

    title = "outcome"
    parameter_name = "outcome"

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        """Return the outcomes that an attempt can have."""
        return [(outcome.value, outcome.value.capitalize()) for outcome in Outcome]

    def queryset(
        self, request: HttpRequest, queryset: QuerySet[DeliveryAttempt]
    ) -> QuerySet[DeliveryAttempt]:
        """Return the attempts of the chosen outcome."""
        return queryset.filter(outcome=self.value()) if self.value() else queryset


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(ShowsExchange, LogAdmin):
    """All tries, newest first."""

    list_display = [
        "started_at", "postback_link", "number", "kind", "outcome", "status_code", "duration_ms",
        "error",
    ]  # fmt: skip
    list_filter = [OutcomeFilter, "kind"]
    ordering = ["-event_received_at", "-id"]
    fields = [
        "postback_link", "number", "kind", "started_at", "duration_ms", "outcome", "status_code",
        "error", "detail", "request_shown", "response_shown",
    ]  # fmt: skip

    @admin.display(description="postback")
    def postback_link(self, attempt: DeliveryAttempt) -> SafeString:
        """Lead to the postback without reading it."""
        url = reverse("admin:postbacks_postback_change", args=[attempt.postback_id])
        return format_html('<a href="{}">{}</a>', url, attempt.postback_id)
