"""Alerts: the list, the templates to begin with, the form with its preview, and the history."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Field, Max, Model, Q, QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps_registry.admin_base.list_cells import day
from apps_registry.admin_base.own_pages import list_paths, row_paths
from apps_registry.admin_base.permissions import allowed, membership_of, user_of
from apps_registry.admin_base.tenant_admin import TenantAdmin
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.roles import RIGHT_TO, Right
from postbacks.admin.alerts.form import TELLING, AlertForm, form_field, form_fields
from postbacks.admin.alerts.views import incident_views, notice_views
from postbacks.alerts.kinds import KINDS, SCOPES, kind_of
from postbacks.alerts.preview import preview_alert
from postbacks.alerts.saving import (
    TooManyAlertsError,
    delete_alerts,
    save_alert,
    send_test,
)
from postbacks.alerts.wording import alert_sentence
from postbacks.models import Alert, AlertKind, WorkerHeartbeat
from postbacks.rulebook.test_send import TooManyTestsError

KIND = "kind"


@admin.register(Alert)
class AlertAdmin(TenantAdmin):
    """What is watched, and who is told."""

    form = AlertForm
    single_save_button = True
    empty_list_text = (
        "An alert tells you when postbacks to a partner fail, an app falls silent or its volume "
        "jumps. Add one: choose what to watch, and save."
    )
    list_display = ["name", "state", "sentence", "raised"]
    list_filter = ["kind", "enabled"]
    search_fields = ["name"]
    search_help_text = "Name"
    ordering = ["name", "id"]
    actions = ["remove"]
    readonly_fields = ["callback_url"]
    right_to_delete = Right.SET_UP
    export_values = {"sentence": lambda alert: str(alert_sentence(alert))}

    class Media:
        css = {"all": ["postbacks/alert.css"]}
        js = ["postbacks/alert.js"]

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Model]":
        rows = super().get_queryset(request).select_related(*SCOPES)
        counted: QuerySet[Model] = rows.annotate(
            open_incidents=Count("incidents", filter=Q(incidents__cleared_at=None)),
            last_raised=Max("incidents__raised_at"),
        )
        return counted

    @admin.display(description="status")
    def state(self, alert: Any) -> SafeString:
        if not alert.enabled:
            return badge("Off", Tone.STILL)
        if alert.open_incidents:
            return badge(f"Raised: {alert.open_incidents}", Tone.BAD)
        return badge("All well", Tone.GOOD)

    @admin.display(description="what it does")
    def sentence(self, alert: Alert) -> SafeString:
        return format_html('<span class="al-sentence">{}</span>', alert_sentence(alert).html)

    @admin.display(description="callback URL")
    def callback_url(self, alert: Alert) -> str:
        """Return what those see of the URL who may not change it."""
        return alert.masked_webhook_url or "None"

    @admin.display(description="last raised", ordering="last_raised")
    def raised(self, alert: Any) -> SafeString | str:
        return day(alert.last_raised, otherwise="never")

    def get_urls(self) -> list[URLPattern]:
        return [
            *list_paths(self, preview=self.preview_view),
            *row_paths(self, test=self.test_view, news=self.news_view),
            *super().get_urls(),
        ]

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """Offer the five kinds; with one of them in the address, its form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if _kind_in(request.GET) is not None:
            return super().add_view(request, form_url, extra_context)
        query = request.GET.copy()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "What do you want to be told of?",
            "media": self.media,
            "kinds": list(KINDS.values()),
            "rest": f"&{query.urlencode()}" if query else "",
        }
        return TemplateResponse(request, "admin/postbacks/alert/kinds.html", context)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        kind = KINDS[_kind(request, obj)]
        watched = [name for name in form_fields(kind) if name not in TELLING]
        may_change = self.has_change_permission(request, obj)
        telling = [
            "callback_url" if name == "webhook_url" and not may_change else name for name in TELLING
        ]
        return [
            ("What is watched", {"fields": watched, "description": kind.explained}),
            ("Who is told", {"fields": telling}),
        ]

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm]:
        form_class = super().get_form(request, obj, change=change, **kwargs)
        form_class.kind_of_alert = _kind(request, obj)  # type: ignore[attr-defined]  # made for this request
        return form_class

    def formfield_for_dbfield(
        self, db_field: Field, request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        made = form_field(db_field)
        return made or super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        person = user_of(request)
        member = membership_of(request)
        is_member = person is not None and member is not None and member.user_id == person.pk
        defaults = dict(KINDS[_kind(request, None)].defaults)
        return {
            **defaults,
            "name": _free_name(str(defaults["name"])),
            "emails": [person.email] if person and is_member else [],
            **super().get_changeform_initial_data(request),
        }

    def render_change_form(
        self,
        request: HttpRequest,
        context: dict[str, Any],
        add: bool = False,
        change: bool = False,
        form_url: str = "",
        obj: Alert | None = None,
    ) -> HttpResponse:
        form: AlertForm = context["adminform"].form
        context["kind"] = KINDS[_kind(request, obj)]
        if not form.is_bound or not form.errors:
            context["live"] = self._live(request, _described(form, obj))
        address = reverse("admin:postbacks_alert_preview")
        context["preview_address"] = f"{address}?{KIND}={_kind(request, obj).value}"
        if obj is not None:
            context.update(_news(obj))
            context["may_test"] = allowed(request, RIGHT_TO["test_send"])
        return super().render_change_form(request, context, add, change, form_url, obj)

    def save_model(
        self, request: HttpRequest, obj: Alert, form: forms.ModelForm, change: bool
    ) -> None:
        save_alert(obj)

    def delete_model(self, request: HttpRequest, obj: Alert) -> None:
        delete_alerts([obj])

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except TooManyAlertsError as refusal:
            messages.error(request, str(refusal))
            return HttpResponseRedirect(reverse("admin:postbacks_alert_changelist"))

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """Return what the alert as it stands in the form would do, and would have done."""
        if not allowed(request, Right.SET_UP):
            raise PermissionDenied
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if _kind_in(request.GET) is None:
            raise Http404
        form = self.get_form(request, None)(request.POST, instance=Alert())
        form.is_valid()
        wrong = set(form.errors) - {"name", "__all__"}
        live = {"is_wrong": True} if wrong else self._live(request, form.instance)
        return TemplateResponse(request, "admin/postbacks/alert/live.html", {"live": live})

    def test_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Have a worker send a test notice."""
        alert = self._alert(request, object_id, RIGHT_TO["test_send"])
        if request.method == "POST":
            _send_test(request, alert)
        return HttpResponseRedirect(reverse("admin:postbacks_alert_change", args=[alert.pk]))

    def news_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Return the incidents and notices of an alert, which its page renews."""
        alert = self._alert(request, object_id, Right.READ)
        return TemplateResponse(request, "admin/postbacks/alert/news.html", _news(alert))

    @admin.action(permissions=["delete"], description="Delete selected alerts")
    def remove(self, request: HttpRequest, queryset: "QuerySet[Alert]") -> TemplateResponse | None:
        page = self.confirm_action(
            request,
            queryset,
            action="remove",
            question="Delete these alerts?",
            description="Their history goes with them, and nobody is told any more. To keep it, "
            "switch an alert off.",
        )
        if page:
            return page
        delete_alerts(queryset)
        self.message_user(request, "Deleted.", messages.SUCCESS)
        return None

    def _alert(self, request: HttpRequest, object_id: str, right: Right) -> Alert:
        if not allowed(request, right):
            raise PermissionDenied
        alert = self.get_object(request, object_id)
        if not isinstance(alert, Alert):
            raise Http404("There is no such alert.")
        return alert

    def _live(self, request: HttpRequest, alert: Alert) -> dict[str, object]:
        member = membership_of(request)
        zone = ZoneInfo(member.organization.time_zone if member else "UTC")
        return {
            "sentence": alert_sentence(alert).html,
            "preview": preview_alert(alert, now=datetime.now(UTC), zone=zone),
        }


def _news(alert: Alert) -> dict[str, object]:
    return {
        "original": alert,
        "incidents": incident_views(alert),
        "notices": notice_views(alert),
        "has_no_worker": not WorkerHeartbeat.is_any_alive(),
    }


def _described(form: AlertForm, saved: Alert | None) -> Alert:
    """Return the alert that a form shows when it is opened."""
    if saved is not None:
        return saved
    alert = Alert(kind=form.kind_of_alert.value)
    kind = kind_of(alert)
    for name in (*kind.fields, "emails"):
        value = form.initial.get(name)
        if name not in SCOPES:
            setattr(alert, name, value if value is not None else getattr(alert, name))
        elif value:
            row = form.fields[name].queryset.filter(pk=value).first()  # type: ignore[attr-defined]  # a choice of rows
            setattr(alert, name, row)
    return alert


def _kind(request: HttpRequest, alert: Model | None) -> AlertKind:
    """Return the kind of a saved alert, else that of the address."""
    if isinstance(alert, Alert):
        return AlertKind(alert.kind)
    return _kind_in(request.GET) or AlertKind.SUCCESS_RATE


def _kind_in(query: Mapping[str, Any]) -> AlertKind | None:
    name = query.get(KIND, "")
    return AlertKind(name) if name in AlertKind.values else None


def _free_name(name: str) -> str:
    taken = set(Alert.objects.values_list("name", flat=True))
    numbered = (f"{name} {number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def _send_test(request: HttpRequest, alert: Alert) -> None:
    """Have a worker send a test notice, and tell the person so, or why not."""
    try:
        sent = send_test(alert)
    except TooManyTestsError as refusal:
        messages.error(request, str(refusal))
        return
    if sent:
        messages.success(request, "A test is on its way; see below what came of it.")
    else:
        messages.warning(
            request, "This alert tells nobody. Choose a member or write a callback URL."
        )
