"""The delivery log: every postback with its state, resending them, and every single attempt."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.html import format_html

from apps_registry.admin_base.own_pages import row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.roles import Right
from postbacks.admin.logs import columns as log_columns
from postbacks.admin.logs.base import LogAdmin, row_address
from postbacks.admin.logs.filters import AttemptFilter, PostbackFilter
from postbacks.admin.logs.postback_detail import (
    PostbackRow,
    StatusBadge,
    error_text,
    logged_attempt_view,
    outcome_badge,
    postback_detail,
)
from postbacks.admin.logs.replays import ReplayStartPage, replay_link
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.live import LiveKind
from postbacks.insights.logs import attempt_log, delivery_log
from postbacks.models import DeliveryAttempt, Postback
from postbacks.privacy.device_marks import marks_of_postbacks
from postbacks.rulebook.breakers import mark_waiting
from postbacks.rulebook.resending import NotResendableError, resend

RESENT_AT_ONCE = 200
RESENDING_SECONDS = 10.0  # deciding a skipped one again takes a while; the rest is named
_REFUSAL = "Analysts look and export. Ask an owner or a marketer of your organization to resend."


@admin.register(Postback)
class PostbackAdmin(LogAdmin):
    """The delivery log."""

    list_title = "Delivery log"
    empty_list_text = "A postback appears here once an event arrives that an active rule waits for."
    filter_form = PostbackFilter
    live_kind = LiveKind.POSTBACK
    page_template = "admin/postbacks/postback/page.html"
    columns = log_columns.POSTBACKS
    actions = ["resend_selected"]

    def get_urls(self) -> list[URLPattern]:
        return [
            *ReplayStartPage(self).urls,
            *row_paths(self, details=self.details_view, resend=self.resend_view),
            *super().get_urls(),
        ]

    def read_page(self, filters: PostbackFilter, cursor: Cursor) -> KeysetPage[Postback]:
        page = delivery_log(filters.search, cursor)
        mark_waiting(page.rows)
        return page

    def row_views(self, rows: Sequence[Postback]) -> Sequence[Any]:
        marks = marks_of_postbacks(rows)
        return [
            PostbackRow.of(postback, marks.get(postback.event_id or 0, "")) for postback in rows
        ]

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        return {"may_resend": self.has_resend_permission(request)}

    def _add_rows(self, request: HttpRequest, response: TemplateResponse) -> None:
        super()._add_rows(request, response)
        context = response.context_data or {}
        filters = context["cl"].filters
        if context["may_resend"] and filters.is_valid() and filters.can_be_replayed:
            context["replay_address"], context["replay_text"] = replay_link(filters)

    def row_context(self, request: HttpRequest, row: Postback) -> dict[str, object]:
        return {
            "title": f"{row.event_name} \N{RIGHTWARDS ARROW} {row.rule}",
            "detail": postback_detail(row),
            "may_resend": self.has_resend_permission(request),
        }

    def has_resend_permission(self, request: HttpRequest) -> bool:
        return allowed(request, Right.RESEND)

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Any]":
        return super().get_queryset(request).prefetch_related("rule__partner", "app")

    def details_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the piece of a page to which a row of the list opens."""
        postback = self._postback(request, object_id)
        context = {
            **self.row_context(request, postback),
            "back": self.list_address(request),
            "in_place": True,
        }
        return TemplateResponse(request, "postbacks/postback_details.html", context)

    def resend_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask whether to send one postback again, and do it."""
        postback = self._postback(request, object_id)
        if not self.has_resend_permission(request):
            return self._refuse(request)
        if request.method != "POST":
            return self._question(request, [postback])
        self._resend_all(request, [postback])
        # The list is scrolled to the row, which its script opens.
        return HttpResponseRedirect(f"{self.list_address(request)}#postback-{postback.pk}")

    @admin.action(permissions=["resend"], description="Resend selected postbacks")
    def resend_selected(
        self, request: HttpRequest, queryset: "QuerySet[Postback]"
    ) -> HttpResponse | None:
        """Send postbacks again, after asking. The address keeps the filters."""
        chosen = list(queryset[: RESENT_AT_ONCE + 1])
        if len(chosen) > RESENT_AT_ONCE:
            refusal = f"Choose at most {RESENT_AT_ONCE} postbacks at once."
            self.message_user(request, refusal, messages.ERROR)
            return None
        if not request.POST.get("confirmed"):
            return self._question(request, chosen)
        self._resend_all(request, chosen)
        return None

    def _postback(self, request: HttpRequest, object_id: str) -> Postback:
        if not self.has_view_permission(request):
            raise PermissionDenied
        postback = self.get_object(request, object_id)
        if not isinstance(postback, Postback):
            raise Http404("There is no such postback.")
        return postback

    def _question(self, request: HttpRequest, chosen: Sequence[Postback]) -> TemplateResponse:
        list_address = "" if "/resend/" in request.path else request.get_full_path()
        mark_waiting(chosen)
        rows = [PostbackRow.of(postback) for postback in chosen]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Resend",
            "media": self.media,
            "rows": rows,
            "any_sendable": any(not row.resend_refusal for row in rows),
            "any_skipped": any(row.is_decided_again for row in rows),
            "only_skipped": all(row.is_decided_again for row in rows),
            "any_of_other_version": any(
                row.is_of_other_version and not row.is_decided_again and not row.resend_refusal
                for row in rows
            ),
            "back": list_address or self.list_address(request),
        }
        return TemplateResponse(request, "admin/postbacks/postback/resend.html", context)

    def _refuse(self, request: HttpRequest) -> TemplateResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "You can't resend postbacks",
            "media": self.media,
            "refusal": _REFUSAL,
            "back": self.list_address(request),
        }
        return TemplateResponse(request, "postbacks/refused.html", context, status=403)

    def _resend_all(self, request: HttpRequest, chosen: Sequence[Postback]) -> None:
        stops_at = time.monotonic() + RESENDING_SECONDS
        sent = tried = 0
        for postback in chosen:
            sent += self._resend(request, postback)
            tried += 1
            if time.monotonic() >= stops_at:
                break
        if sent:
            self.message_user(request, _resent_message(sent, chosen), messages.SUCCESS)
        if left := len(chosen) - tried:
            words = "1 postback was" if left == 1 else f"{left} postbacks were"
            self.message_user(
                request,
                f"{words} not reached before this page had to answer. Choose the rest again.",
                messages.WARNING,
            )

    def _resend(self, request: HttpRequest, postback: Postback) -> bool:
        try:
            resend(postback, as_decided=bool(request.POST.get("as_decided")))
        except NotResendableError as refusal:
            name = postback.event_name or postback.public_id
            self.message_user(request, f"{name}: {refusal}", messages.WARNING)
            return False
        return True


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """An attempt as one row of the list."""

    attempt: DeliveryAttempt
    badge: StatusBadge
    error: str


@admin.register(DeliveryAttempt)
class DeliveryAttemptAdmin(LogAdmin):
    """All tries, newest event first."""

    list_title = "Delivery attempts"
    empty_list_text = "Each try to deliver a postback appears here."
    filter_form = AttemptFilter
    page_template = "admin/postbacks/deliveryattempt/page.html"
    columns = log_columns.ATTEMPTS

    def read_page(self, filters: AttemptFilter, cursor: Cursor) -> KeysetPage[DeliveryAttempt]:
        return attempt_log(filters.cleaned_data["outcome"], cursor)

    def row_views(self, rows: Sequence[DeliveryAttempt]) -> Sequence[AttemptRow]:
        return [
            AttemptRow(attempt, outcome_badge(attempt), error_text(attempt)) for attempt in rows
        ]

    def row_context(self, request: HttpRequest, row: DeliveryAttempt) -> dict[str, object]:
        return {"view": logged_attempt_view(row)}


def _resent_message(sent: int, chosen: Sequence[Postback]) -> str:
    if len(chosen) > 1:
        postbacks = "1 postback is" if sent == 1 else f"{sent} postbacks are"
        return f"{postbacks} on the way."
    # Under a filter such as “Failed” the list no longer has it.
    page = row_address(chosen[0])
    return format_html('The postback is on the way. <a class="pb-link" href="{}">See it</a>', page)
