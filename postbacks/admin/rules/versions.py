"""Manage rules beside their form: switch on, pause, compare and restore versions, copy."""

from dataclasses import dataclass

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse

from apps_registry.admin_base.own_pages import row_paths
from apps_registry.admin_base.permissions import allowed, user_of
from apps_registry.admin_base.tenant_admin import ArchivingAdmin
from apps_registry.models import App
from apps_registry.roles import RIGHT_TO
from apps_registry.tenancy import Lifecycle
from postbacks.admin.rules.held import HELD, held_choice, start_job, what_archiving_skips
from postbacks.admin.rules.labels import (
    LabeledChange,
    SavedVersion,
    changes_between,
    version_history,
)
from postbacks.models import CallbackRule, CallbackRuleVersion, JobAction, RuleStatus
from postbacks.rulebook import saving, versions
from postbacks.rulebook.held_postbacks import held_count, refused_as_gone
from postbacks.rulebook.test_send import is_proven

_TRY_FIRST = "Open a rule to send a test first, or switch on anyway."


class SwitchingAdmin(ArchivingAdmin):
    """A list of rules that can be switched on and paused."""

    actions = ["switch_on", "pause", "archive"]
    archived = RuleStatus.ARCHIVED

    archiving_notes = (what_archiving_skips,)

    @admin.action(permissions=["change"], description="Switch on selected callback rules")
    def switch_on(
        self, request: HttpRequest, queryset: QuerySet[CallbackRule]
    ) -> TemplateResponse | None:
        """Switch rules on, after asking; a note names those that were never tested."""
        question = "Switch on these callback rules? They send from now on."
        untested = [str(rule) for rule in queryset if not is_proven(rule)]
        note = f"Not tested yet: {', '.join(untested)}. {_TRY_FIRST}" if untested else ""
        held_total = sum(held_count(rule) for rule in queryset)
        suspended = [rule for rule in queryset if rule.status == RuleStatus.SUSPENDED]
        refused_total = sum(len(refused_as_gone(rule)) for rule in suspended)
        if page := self.confirm_action(
            request,
            queryset,
            action="switch_on",
            question=question,
            description=note,
            choice=held_choice(held_total, refused_total) if held_total + refused_total else None,
        ):
            return page
        switched = self._set_status(request, queryset, RuleStatus.ACTIVE, "Switched on.")
        if (action := request.POST.get(HELD)) in JobAction.values:
            for rule in switched:
                start_job(request, rule, JobAction(action))
        return None

    @admin.action(permissions=["change"], description="Pause selected callback rules")
    def pause(
        self, request: HttpRequest, queryset: QuerySet[CallbackRule]
    ) -> TemplateResponse | None:
        """Pause rules, after asking."""
        question = "Pause these callback rules? They send nothing, and pending postbacks wait."
        if page := self.confirm_action(request, queryset, action="pause", question=question):
            return page
        self._set_status(request, queryset, RuleStatus.PAUSED, "Paused.")
        return None

    def _set_status(
        self,
        request: HttpRequest,
        queryset: QuerySet[CallbackRule],
        status: RuleStatus,
        done: str,
    ) -> list[CallbackRule]:
        by, changed = user_of(request), []
        for rule in queryset.exclude(status__in=[status, self.archived]):
            rule.status = status
            try:
                saving.save(rule, by=by)
            except saving.RuleProblemsError as refusal:
                self.message_user(request, f"{rule}: {refusal}", messages.ERROR)
                continue
            changed.append(rule)
            self.message_user(request, f"{rule}: {done}", messages.SUCCESS)
        return changed


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions and what changed from the older to the newer one."""

    older: int
    newer: int
    changes: tuple[LabeledChange, ...]


class CopyForm(forms.Form):
    """Ask which apps get a copy of a rule."""

    apps: "forms.ModelMultipleChoiceField[App]" = forms.ModelMultipleChoiceField(
        label="Apps",
        queryset=None,
        widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose at least one app."},
    )

    def __init__(self, data: QueryDict | None, rule: CallbackRule) -> None:
        super().__init__(data)
        apps = App.objects.exclude(status=Lifecycle.ARCHIVED).exclude(pk=rule.app_id or 0)
        self.fields["apps"].queryset = apps.order_by("name")  # type: ignore[attr-defined]  # it has


class VersionedAdmin(SwitchingAdmin):
    """A list of rules each of which has a page of versions and a page to copy it."""

    def get_urls(self) -> list[URLPattern]:
        return [
            *row_paths(self, versions=self.versions_view, copy=self.copy_view),
            *super().get_urls(),
        ]

    def versions_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """List versions, compare two of them, and restore one after asking."""
        rule = self._rule(request, object_id)
        history = version_history(rule)
        restoring = _version(history, request.POST.get("number"))
        if request.method == "POST":
            if not self._may_restore(request, rule):
                raise PermissionDenied
            if restoring is None:
                raise Http404
            if request.POST.get("confirmed"):
                return self._restore(request, rule, restoring.number)
        context = {
            **self._context(request, rule, f"Versions of {rule}"),
            "history": history,
            "may_restore": self._may_restore(request, rule),
            "restoring": restoring and _comparison(history, rule.version, restoring.number),
            "comparison": _asked_comparison(history, request.GET),
        }
        template = "admin/postbacks/callbackrule/versions.html"
        return TemplateResponse(request, template, context)

    def copy_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Ask for apps and make a draft of the rule for each."""
        rule = self._rule(request, object_id)
        if not self.has_change_permission(request, rule):
            raise PermissionDenied
        form = CopyForm(request.POST if request.method == "POST" else None, rule)
        if form.is_valid():
            try:
                copies = versions.copy_to(rule, form.cleaned_data["apps"], by=user_of(request))
            except saving.RuleProblemsError as refusal:
                form.add_error(None, str(refusal))
            else:
                for copy in copies:
                    self.log_addition(request, copy, f"Copied from {rule}.")
                names = ", ".join(copy.name for copy in copies)
                self.message_user(request, f"Drafts made: {names}.", messages.SUCCESS)
                return HttpResponseRedirect(reverse("admin:postbacks_callbackrule_changelist"))
        context = {**self._context(request, rule, f"Copy {rule} to other apps"), "form": form}
        return TemplateResponse(request, "admin/postbacks/callbackrule/copy.html", context)

    def _may_restore(self, request: HttpRequest, rule: CallbackRule) -> bool:
        is_in_use = rule.status != self.archived
        return is_in_use and allowed(request, RIGHT_TO["restore"])

    def _restore(self, request: HttpRequest, rule: CallbackRule, number: int) -> HttpResponse:
        version = CallbackRuleVersion.objects.select_related("rule").get(rule=rule, number=number)
        try:
            restored = versions.restore(version, by=user_of(request))
        except ValidationError as refusal:
            self.message_user(request, " ".join(refusal.messages), messages.ERROR)
        except (versions.NotRestorableError, saving.RuleProblemsError) as refusal:
            self.message_user(request, str(refusal), messages.ERROR)
        else:
            done = f"Says again what version {number} said."
            self.log_change(request, restored, done)
            self.message_user(request, f"{restored}: {done}", messages.SUCCESS)
        return HttpResponseRedirect(request.path)

    def _rule(self, request: HttpRequest, object_id: str) -> CallbackRule:
        rule = self.get_object(request, object_id)
        if not isinstance(rule, CallbackRule) or not self.has_view_permission(request, rule):
            raise Http404
        return rule

    def _context(self, request: HttpRequest, rule: CallbackRule, title: str) -> dict[str, object]:
        context = self.admin_site.each_context(request)
        return {**context, "title": title, "opts": self.opts, "rule": rule}


def _version(history: tuple[SavedVersion, ...], number: str | None) -> SavedVersion | None:
    return next((version for version in history if str(version.number) == number), None)


def _asked_comparison(history: tuple[SavedVersion, ...], query: QueryDict) -> Comparison | None:
    older, newer = _version(history, query.get("older")), _version(history, query.get("newer"))
    if older is None or newer is None:
        return None
    return _comparison(history, older.number, newer.number)


def _comparison(history: tuple[SavedVersion, ...], older: int, newer: int) -> Comparison:
    rows = {version.number: version.rows for version in history}
    return Comparison(older, newer, changes_between(rows.get(older, ()), rows.get(newer, ())))
