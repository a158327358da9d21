"""The history of a row, read from the audit log in place of Django's admin log.

Django's log belongs to a person, who may work for several organizations, so it is not written.
"""

from typing import Any

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db import models
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from apps_registry.admin_base import audit_wording
from apps_registry.models import AuditEntry

_MAX_ENTRIES = 100  # the audit log's own page has all of them


class HistoryAdmin(ModelAdmin):
    """A page whose history view shows the row's audit entries."""

    def history_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is None:
            return self._get_obj_does_not_exist_redirect(request, self.opts, object_id)  # type: ignore[attr-defined,no-any-return]  # Django's own
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        key = str(getattr(row, "audit_id", ""))
        entries = AuditEntry.objects.filter(object_id=key) if key else AuditEntry.objects.none()
        context = {
            **self.admin_site.each_context(request),
            "title": f"History of {row}",
            "opts": self.opts,
            "object": row,
            "object_id": key,
            "lines": audit_wording.audit_rows(entries.order_by("-at", "-id")[:_MAX_ENTRIES]),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def log_addition(self, request: HttpRequest, obj: models.Model, message: object) -> Any:
        """Write nothing: the audit log has the entry."""

    def log_change(self, request: HttpRequest, obj: models.Model, message: object) -> Any:
        """Write nothing: the audit log has the entry."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write nothing: the audit log has the entry."""
