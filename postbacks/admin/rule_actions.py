"""Switching callback rules on and pausing them from their list."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.template.response import TemplateResponse

from apps_registry.admin_base.tenant_admin import ArchivingAdmin
from apps_registry.models import User
from postbacks.models import CallbackRule, RuleStatus
from postbacks.rulebook import saving
from postbacks.rulebook.test_send import is_proven

_TRY_FIRST = "Open a rule to send a test first, or switch on anyway."


class SwitchingAdmin(ArchivingAdmin):
    """A list of rules that can be switched on and paused."""

    actions = ["switch_on", "pause", "archive"]
    archived = RuleStatus.ARCHIVED

    @admin.action(permissions=["change"], description="Switch on selected callback rules")
    def switch_on(
        self, request: HttpRequest, queryset: QuerySet[CallbackRule]
    ) -> TemplateResponse | None:
        """Have rules send from now on, after asking."""
        question = "Switch on these callback rules? They send from now on."
        untested = [str(rule) for rule in queryset if not is_proven(rule)]
        note = f"Not tested yet: {', '.join(untested)}. {_TRY_FIRST}" if untested else ""
        if page := self.ask_first(
            request, queryset, action="switch_on", question=question, description=note
        ):
            return page
        self._set_status(request, queryset, RuleStatus.ACTIVE, "Switched on.")
        return None

    @admin.action(permissions=["change"], description="Pause selected callback rules")
    def pause(
        self, request: HttpRequest, queryset: QuerySet[CallbackRule]
    ) -> TemplateResponse | None:
        """Have rules send nothing until they are switched on again, after asking."""
        question = "Pause these callback rules? They send nothing, and what is owed waits."
        if page := self.ask_first(request, queryset, action="pause", question=question):
            return page
        self._set_status(request, queryset, RuleStatus.PAUSED, "Paused.")
        return None

    def _set_status(
        self,
        request: HttpRequest,
        queryset: QuerySet[CallbackRule],
        status: RuleStatus,
        done: str,
    ) -> None:
        by = request.user if isinstance(request.user, User) else None
        for rule in queryset.exclude(status__in=[status, self.archived]):
            rule.status = status
            try:
                saving.save(rule, by=by)
            except saving.RuleProblemsError as refusal:
                self.message_user(request, f"{rule}: {refusal}", messages.ERROR)
                continue
            self.message_user(request, f"{rule}: {done}", messages.SUCCESS)
