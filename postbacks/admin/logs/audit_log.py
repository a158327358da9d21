"""The audit log: who changed what, and whether a rule was on at a given moment."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils import timezone

from apps_registry.admin_base import audit_wording
from apps_registry.audit.actions import Action
from apps_registry.models import AuditEntry
from postbacks.admin.logs.base import LogAdmin
from postbacks.admin.logs.columns import AUDIT_LOG
from postbacks.admin.logs.filter_fields import IdField, MomentField, RowChoiceField
from postbacks.admin.logs.filters import LogFilter, TimedFilter
from postbacks.insights.keyset import Cursor, KeysetPage
from postbacks.insights.logs import AuditSearch, audit_log
from postbacks.insights.rule_status import RuleStatusAt, rule_status_at
from postbacks.models import CallbackRule


class AuditFilter(TimedFilter):
    """The filters of the audit log."""

    basic = ("q", "action", "time")
    q = forms.CharField(
        label="Name of what was changed",
        max_length=120,
        widget=forms.TextInput({"type": "search", "placeholder": "Purchases to Unity Ads"}),
    )
    action = forms.ChoiceField(label="What", choices=[("", "Anything"), *Action.choices])
    who = forms.CharField(
        label="Who", max_length=120, widget=forms.TextInput({"placeholder": "ada@example.com"})
    )
    kind = forms.ChoiceField(label="Kind")
    object = IdField(label="ID in the API", widget=forms.TextInput({"placeholder": "A whole ID"}))
    field_order = ("q", "action", "time", "who", "kind", "object", "since")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        choices = [("", "All kinds"), *audit_wording.object_type_choices()]
        self.fields["kind"].choices = choices  # type: ignore[attr-defined]  # a choice field

    @property
    def search(self) -> AuditSearch:
        values = self.cleaned_data
        return AuditSearch(
            span=self.span,
            text=values["q"],
            who=values["who"],
            action=values["action"],
            object_type=values["kind"],
            object_id=values["object"],
        )


class RuleQuestion(LogFilter):
    """Asks whether a rule was on at a moment."""

    rule = RowChoiceField(queryset=None, label="Rule", empty_label="Choose a rule")
    moment = MomentField(label="Was on at")

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        self.offer("rule", CallbackRule.objects.all())
        for name, field in self.fields.items():
            field.required = bool(self.active_values)
            field.error_messages["required"] = f"Choose a {name}."

    def clean_moment(self) -> datetime | None:
        """Refuse a moment in the future, of which the log knows nothing."""
        moment: datetime | None = self.cleaned_data["moment"]
        if moment is not None and moment > timezone.now():
            raise ValidationError("This moment is still to come.")
        return moment

    @property
    def answer(self) -> RuleStatusAt | None:
        if not self.active_values or not self.is_valid():
            return None
        return rule_status_at(self.cleaned_data["rule"], self.cleaned_data["moment"])


@admin.register(AuditEntry)
class AuditEntryAdmin(LogAdmin):
    """Who changed what, newest first. Nobody can write it."""

    list_title = "Audit log"
    empty_list_text = "Changes that people and programs make from now on appear here."
    filter_form = AuditFilter
    page_template = "admin/apps_registry/auditentry/page.html"
    columns = AUDIT_LOG

    def read_page(self, filters: AuditFilter, cursor: Cursor) -> KeysetPage[AuditEntry]:
        return audit_log(filters.search, cursor)

    def row_views(self, rows: Sequence[AuditEntry]) -> Sequence[audit_wording.AuditRow]:
        return audit_wording.audit_rows(rows)

    def list_context(self, request: HttpRequest) -> dict[str, object]:
        return {"question": RuleQuestion(request.GET)}

    def row_context(self, request: HttpRequest, row: AuditEntry) -> dict[str, object]:
        (view,) = audit_wording.audit_rows([row])
        return {"row": view, "title": str(row)}
