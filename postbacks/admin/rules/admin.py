"""Callback rules: the list, and the form that marketers fill in with its preview."""

import time
from dataclasses import replace
from typing import Any, cast
from urllib.parse import urlsplit

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Field, ForeignKey, Model, Q
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps_registry.admin_base.health_columns import HEALTH_COLUMNS, HEALTH_VALUES, HealthColumns
from apps_registry.admin_base.list_cells import day
from apps_registry.admin_base.own_pages import list_paths
from apps_registry.admin_base.permissions import allowed, user_of
from apps_registry.admin_base.tenant_admin import TenantRelatedFilter
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.roles import RIGHT_TO
from postbacks.admin.alerts.views import open_incidents
from postbacks.admin.list_health import ListHealth
from postbacks.admin.pages.live import live_panel
from postbacks.admin.rules.dry_runs import PERIODS, DryRunPage
from postbacks.admin.rules.expensive import expensive_rules
from postbacks.admin.rules.form import CallbackRuleForm, SwitchedRuleForm, redirect_to_log
from postbacks.admin.rules.held import HELD, HeldPage, start_job, what_becomes_of_waiting
from postbacks.admin.rules.layout import FIELDS
from postbacks.admin.rules.macro_catalogue import CataloguePage
from postbacks.admin.rules.page import live_rule_page, rule_page
from postbacks.admin.rules.partner_templates import TemplatePages
from postbacks.admin.rules.preview import SAMPLE
from postbacks.admin.rules.translate import TranslatePage, translated_url
from postbacks.admin.rules.trial_pages import TestSendPage, remember_tests, tests_of
from postbacks.admin.rules.versions import VersionedAdmin
from postbacks.insights.figure_parts import Subject
from postbacks.insights.live import LiveKind
from postbacks.models import CallbackRule, JobAction, RuleStatus
from postbacks.rulebook import saving
from postbacks.rulebook.partner_setup import free_rule_name
from postbacks.values.events import ANY_EVENT

_TONES = {
    RuleStatus.DRAFT: Tone.STILL,
    RuleStatus.ACTIVE: Tone.GOOD,
    RuleStatus.PAUSED: Tone.BUSY,
    RuleStatus.SUSPENDED: Tone.BAD,
    RuleStatus.ARCHIVED: Tone.STILL,
}
_MOST_BADGES = 4


@admin.register(CallbackRule)
class CallbackRuleAdmin(HealthColumns, VersionedAdmin):
    """Which events send a postback to whom, and what it says."""

    form = SwitchedRuleForm
    empty_list_text = (
        "A callback rule says which events are sent to a partner, and how. "
        "Add one, look at its preview, and switch it on."
    )
    health = ListHealth(Subject.RULE)
    list_display = [
        "name",
        "state",
        "app_name",
        "partner_name",
        "events",
        *HEALTH_COLUMNS,
    ]
    export_columns = (*list_display, "updated")
    list_fullwidth = True
    list_select_related = ["app", "partner"]
    list_filter = ["status", ("app", TenantRelatedFilter), ("partner", TenantRelatedFilter)]
    search_fields = ["name", "url"]
    search_help_text = "Search by name or URL."
    export_values = {**HEALTH_VALUES, "events": lambda rule: ", ".join(rule.triggers)}
    ordering = ["name"]

    @admin.display(description="status", ordering="status")
    def state(self, rule: CallbackRule) -> SafeString:
        status = RuleStatus(rule.status)
        return badge(str(status.label), _TONES[status])

    @admin.display(description="app", ordering="app__name")
    def app_name(self, rule: CallbackRule) -> str:
        return str(rule.app or "All apps")

    @admin.display(description="partner", ordering="partner__name", empty_value="—")
    def partner_name(self, rule: CallbackRule) -> str | None:
        return str(rule.partner) if rule.partner else None

    @admin.display(description="updated", ordering="updated_at")
    def updated(self, rule: CallbackRule) -> SafeString | str:
        return day(rule.updated_at)

    @admin.display(description="events")
    def events(self, rule: CallbackRule) -> SafeString:
        names = ["any event" if name == ANY_EVENT else name for name in rule.triggers]
        more = [f"{len(names) - _MOST_BADGES} more"] if len(names) > _MOST_BADGES else []
        badges = ((badge(name, Tone.INFO),) for name in (*names[:_MOST_BADGES], *more))
        return format_html(
            '<span class="rule-badges">{}</span>', format_html_join(" ", "{}", badges)
        )

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        may_write = self.has_change_permission(request, obj) if obj else True
        return [(None, {"fields": list(FIELDS) if may_write else ["name"]})]

    def formfield_for_dbfield(
        self, db_field: Field, request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        if isinstance(db_field, ForeignKey):
            return self.formfield_for_foreignkey(db_field, request, widget=forms.Select, **kwargs)
        return db_field.formfield(**kwargs)

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, object],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: CallbackRule | None = None,
    ) -> HttpResponse:
        form: SwitchedRuleForm = context["adminform"].form  # type: ignore[attr-defined]  # its own
        may_write = self.has_change_permission(request, obj) if obj else True
        if add and not form.is_bound:
            form.instance.url = form.initial.get("url", "")  # the preview reads the instance
        page = rule_page(
            form, saved=obj, may_write=may_write, chosen=request.POST.get("preview_event", SAMPLE)
        )
        # A question does not refuse the rule.
        asks = form.asks_for_test or form.asks_about_held
        context["rule"] = replace(page, is_refused=page.is_refused and not asks)
        context["asks_for_test"] = form.asks_for_test
        context["asks_about_held"] = form.asks_about_held
        context["confirmed"] = form.answered
        context["dry_run_periods"] = PERIODS
        if obj is not None:
            filters = {"rule": obj.pk, "kind": LiveKind.POSTBACK.value}
            context["live"] = live_panel(filters, after=time.time())
            context["alerts"] = open_incidents(rule_ref=obj.pk)
            context["expensive_rules"] = expensive_rules(request, Q(pk=obj.pk))
        context["errors"] = None  # the page has a banner of its own, which leads to the fields
        return super().render_change_form(request, context, add, change, form_url, obj)

    def get_urls(self) -> list[URLPattern]:
        pages = (*TemplatePages(self).urls, *TranslatePage(self).urls, *CataloguePage(self).urls)
        pages = (*pages, *TestSendPage(self).urls, *DryRunPage(self).urls, *HeldPage(self).urls)
        return [*list_paths(self, preview=self.preview_view), *pages, *super().get_urls()]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        initial: dict[str, Any] = super().get_changeform_initial_data(request)
        url = translated_url(request)
        if not url:
            return initial
        name = free_rule_name(urlsplit(url).netloc)
        return {"name": name, **initial, "url": url}

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return the parts of the page that change while a person writes."""
        if not allowed(request, RIGHT_TO["preview"]):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        _, form = self.form_as_sent(request)
        page = live_rule_page(
            form, may_write=True, chosen=request.POST.get("preview_event", SAMPLE)
        )
        return TemplateResponse(request, "admin/postbacks/callbackrule/live.html", {"rule": page})

    def save_model(
        self, request: HttpRequest, obj: CallbackRule, form: forms.ModelForm, change: bool
    ) -> None:
        saving.save_checked(obj, by=user_of(request))
        for note in form.url_notes if isinstance(form, CallbackRuleForm) else ():
            messages.info(request, f"The URL was read as it was meant. {note}")
        remember_tests(request, obj)
        if change and (note := what_becomes_of_waiting(obj, form.changed_data)):
            messages.info(request, note)
        if (action := request.POST.get(HELD)) in JobAction.values:
            start_job(request, obj, JobAction(action))

    def response_post_save_add(
        self, request: HttpRequest, obj: CallbackRule
    ) -> HttpResponseRedirect:
        return redirect_to_log(request, obj) or super().response_post_save_add(request, obj)

    def response_post_save_change(
        self, request: HttpRequest, obj: CallbackRule
    ) -> HttpResponseRedirect:
        return redirect_to_log(request, obj) or super().response_post_save_change(request, obj)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        form_class.tested = tests_of(request).keys()  # type: ignore[attr-defined]  # made for this request
        return form_class

    def form_as_sent(self, request: HttpRequest) -> tuple[CallbackRule | None, CallbackRuleForm]:
        """Return the saved rule that is being changed, if any, and its form with the sent data.

        The form puts that data into the rule.
        """
        rule = self._rule_of(request)
        form_class = cast(
            type[CallbackRuleForm], self.get_form(request, rule, change=rule is not None)
        )
        return rule, form_class(request.POST, instance=rule)

    def _rule_of(self, request: HttpRequest) -> CallbackRule | None:
        if not (key := request.GET.get("rule")):
            return None
        rule = self.get_object(request, key)
        if rule is None or not self.has_change_permission(request, rule):
            raise Http404
        return rule  # type: ignore[no-any-return]  # the admin's own model
