"""The pages of scheduled exports: which list goes where, how often, and what became of it."""

from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.contrib.admin.utils import flatten_fieldsets
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import URLPattern
from django.utils.safestring import SafeString

from apps_registry.admin_base.list_cells import CreatedColumn
from apps_registry.admin_base.own_pages import row_paths
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import TenantAdmin, TenantForm
from apps_registry.admin_base.theme import Select, TextInput, Tone, badge
from apps_registry.csv_format import FileFormat
from apps_registry.roles import RIGHT_TO, Right
from apps_registry.tenancy import Lifecycle
from postbacks.admin.logs.base import row_address
from postbacks.admin.logs.exports import FORMATS, ExportView
from postbacks.insights import export_schedules, parquet_files, schedule_checks
from postbacks.insights.export_schedules import ExportRefusedError
from postbacks.insights.schedule_filters import (
    ListFilter,
    filters_of,
    label_of,
    names_of,
    rows_of,
)
from postbacks.models import Export, ExportSchedule, ExportTarget, ScheduledList

_EXAMPLES = {"event_name": "purchase", "reason": "no_consent", "version": "1"}
_MOST_SHOWN = 200  # of the history: a week of hours


def _field_name(list_name: str, list_filter: ListFilter) -> str:
    """Return the form's name for a filter: rows are chosen likewise whichever the list is."""
    return (
        f"filter_{list_filter.name}"
        if list_filter.model
        else f"filter_{list_name}_{list_filter.name}"
    )


def _filter_fields() -> dict[str, list[str]]:
    """Return the lists of each field for a filter, by the form's name for it."""
    lists_of: dict[str, list[str]] = {}
    for list_name in ScheduledList.values:
        for list_filter in filters_of(list_name).values():
            lists_of.setdefault(_field_name(list_name, list_filter), []).append(list_name)
    return lists_of


class ExportScheduleForm(TenantForm):
    """A list, where it goes, and how often. The secret access key is never shown."""

    secret = forms.CharField(
        label="Secret access key",
        required=False,
        strip=True,
        max_length=4096,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password", "class": "pb-input"}),
        help_text="As the store gave it to you; it is stored encrypted and never shown. Empty: it "
        "stays as it is.",
    )

    class Meta:
        model = ExportSchedule
        fields: ClassVar[list[str]] = [
            *("name", "list_name", "format", "interval", "enabled", "target"),
            *("endpoint", "region", "bucket", "prefix", "access_key_id"),
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._before = ExportSchedule.objects.filter(pk=self.instance.pk).first()
        if "format" in self.fields:
            self._offer("format", [(name.value, text) for name, text in FORMATS.items()])
            self._offer_filters()

    def _offer_filters(self) -> None:
        """Have a field for each filter that one of the lists has; the page shows those of one."""
        stored = QueryDict(self.instance.filters)
        for name, lists in _filter_fields().items():
            list_filter = filters_of(lists[0])[
                name.removeprefix("filter_").removeprefix(f"{lists[0]}_")
            ]
            field = _filter_field(list_filter, stored.get(list_filter.name, ""))
            field.widget.attrs |= {"data-lists": " ".join(lists)}
            if self.instance.list_name in lists:
                field.initial = stored.get(list_filter.name, "")
            self.fields[name] = field

    def _offer(self, name: str, formats: list[tuple[str, str]]) -> None:
        field: Any = self.fields[name]
        field.choices = formats
        if not parquet_files.is_available():
            field.choices = [pair for pair in formats if pair[0] != FileFormat.PARQUET]
            field.help_text = parquet_files.IS_MISSING
        if settings.EXPORT_DIR is None:
            target: Any = self.fields["target"]
            target.choices = [(ExportTarget.S3.value, ExportTarget.S3.label)]

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        self._read_filters(cleaned)
        # The page adds fields of its own to those of its subclass.
        values = {name: cleaned[name] for name in ExportScheduleForm.Meta.fields}
        row = ExportSchedule(pk=self.instance.pk, filters=self.instance.filters, **values)
        problems = schedule_checks.problems(row, secret=cleaned["secret"], before=self._before)
        for name, sentence in problems.items():
            if name != "filters":  # each has said what is wrong where it stands
                self.add_error(name, sentence)
        return cleaned

    def _read_filters(self, cleaned: dict[str, Any]) -> None:
        """Put the filters of the chosen list together as an address has them."""
        list_name, values = cleaned["list_name"], {}
        for list_filter in filters_of(list_name).values():
            name = _field_name(list_name, list_filter)
            if not cleaned.get(name):
                continue
            values[list_filter.name] = cleaned[name]
            sentence = schedule_checks.filter_problem(
                list_name, urlencode([(list_filter.name, cleaned[name])])
            )
            if sentence:
                self.add_error(name, sentence)
        self.instance.filters = urlencode(values)

    def _get_validation_exclusions(self) -> set[str]:
        return super()._get_validation_exclusions() - {"folder"}


def _filter_field(list_filter: ListFilter, stored: str) -> forms.Field:
    """Return the field of a filter; what is stored is offered, even if it is archived or gone."""
    label = _in_words(list_filter.name)
    help_text = list_filter.help_text.replace("`", "")
    if not list_filter.model and not list_filter.choices:
        return forms.CharField(
            label=label,
            required=False,
            max_length=255,
            help_text=help_text or "Leave it empty for all.",
            widget=TextInput({"placeholder": _EXAMPLES.get(list_filter.name, "")}),
        )
    help_text = help_text or "Leave it open for all."
    choices = [
        (value, _in_words(value) if value == text else text) for value, text in list_filter.choices
    ]
    if list_filter.model:
        choices = [
            (str(row.public_id), _option(row))
            for row in rows_of(list_filter.model)
            if row.status != Lifecycle.ARCHIVED or str(row.public_id) == stored
        ]
        help_text = (
            f"Only rows of one {list_filter.model._meta.verbose_name}; leave it open for all."
        )
    if stored and stored not in dict(choices):
        choices.append((stored, "No longer there"))
    return forms.ChoiceField(
        label=label,
        required=False,
        choices=[("", "All"), *choices],
        help_text=help_text,
        widget=Select(),
    )


def _in_words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def _option(row: Any) -> str:
    return f"{label_of(row)} (archived)" if row.status == Lifecycle.ARCHIVED else label_of(row)


@admin.register(ExportSchedule)
class ExportScheduleAdmin(CreatedColumn, TenantAdmin):
    """Scheduled exports, and the page on which one is set up and followed."""

    form = ExportScheduleForm
    single_save_button = True
    empty_list_text = (
        "A file with the rows of each hour or day, in your own store: for DuckDB, BigQuery, Excel "
        "or a backup."
    )
    list_display = ["name", "list_name", "interval", "state", "next_file", "created"]
    search_fields = ["name"]
    search_help_text = "Name"
    ordering = ["name"]
    actions = ["remove"]
    right_to_delete = Right.SET_UP
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "list_name", "format", "interval", "enabled"],
                "description": "Each file has the rows that came in one hour or day, by the time "
                "when they arrived here, so that none is ever late. Each has a name of its own, "
                "and an export that is made again writes over it.",
            },
        ),
        (
            "Which rows",
            {
                "fields": ["filters_in_words"],
                "description": "All that you leave open counts as “all”.",
            },
        ),
        (
            "Where the files go",
            {
                "fields": [
                    *("target", "endpoint", "region", "bucket", "prefix", "access_key_id"),
                    "secret",
                ],
                "description": "Into a bucket of a store, by a user who may write there and "
                "nothing else, or into the folder that this server's operator set up.",
            },
        ),
    ]
    change_form_template = "admin/postbacks/exportschedule/change_form.html"

    readonly_fields = ["filters_in_words"]

    class Media:
        css = {"all": ["postbacks/log.css", "postbacks/schedule.css"]}

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Offer the filters to those who may change them; others read them."""
        about, which, where = super().get_fieldsets(request, obj)
        may_set = self.has_change_permission(request, obj) if obj else True
        if may_set:
            which = (which[0], {**which[1], "fields": list(_filter_fields())})
        return [about, which, where]

    def get_form(
        self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any
    ) -> Any:
        if kwargs.get("fields", ()) is not None:
            named = flatten_fieldsets(self.get_fieldsets(request, obj))
            kwargs["fields"] = [name for name in named if not name.startswith("filter")]
        return super().get_form(request, obj, change, **kwargs)

    def get_urls(self) -> list[URLPattern]:
        return [*row_paths(self, run=self.run_view), *super().get_urls()]

    def save_model(
        self, request: HttpRequest, obj: ExportSchedule, form: forms.ModelForm, change: bool
    ) -> None:
        export_schedules.save(obj, secret=form.cleaned_data["secret"])

    def delete_model(self, request: HttpRequest, obj: ExportSchedule) -> None:
        export_schedules.delete(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        schedule = kwargs.get("obj")
        if isinstance(schedule, ExportSchedule):
            files = Export.objects.filter(schedule=schedule).order_by("-id")[:_MOST_SHOWN]
            context["schedule"] = schedule
            context["history"] = [ExportView(file) for file in files]
            context["may_run"] = allowed(request, RIGHT_TO["export_list"])
        return super().render_change_form(request, context, *args, **kwargs)

    def run_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Export the latest hour or day that has ended, now."""
        if not allowed(request, RIGHT_TO["export_list"]):
            raise PermissionDenied
        schedule = self.get_object(request, object_id)
        if request.method != "POST" or not isinstance(schedule, ExportSchedule):
            return HttpResponseRedirect(self._list_address())
        try:
            export = export_schedules.run_now(schedule)
        except ExportRefusedError as refusal:
            messages.warning(request, str(refusal))
            return HttpResponseRedirect(row_address(schedule))
        messages.success(request, "A worker makes the file now; this page shows how far it is.")
        return HttpResponseRedirect(row_address(export))

    @admin.action(permissions=["delete"], description="Delete selected scheduled exports")
    def remove(
        self, request: HttpRequest, queryset: "QuerySet[ExportSchedule]"
    ) -> TemplateResponse | None:
        page = self.confirm_action(
            request,
            queryset,
            action="remove",
            question="Delete these scheduled exports?",
            description="Their history goes with them, and what they have in the operator's "
            "folder. What a store has stays there.",
        )
        if page:
            return page
        for schedule in queryset:
            export_schedules.delete(schedule)
        self.message_user(request, "Deleted.", messages.SUCCESS)
        return None

    @admin.display(description="filters")
    def filters_in_words(self, row: ExportSchedule) -> str:
        named = names_of(row.list_name, row.filters)
        if named is None:
            return "One of its rows is archived, or no longer there."
        return " · ".join(f"{name}: {value}" for name, value in named.items()) or "All rows"

    @admin.display(description="status")
    def state(self, row: ExportSchedule) -> SafeString:
        if row.failing_since is not None:
            return badge("Failing", Tone.BAD)
        return badge("On", Tone.GOOD) if row.enabled else badge("Off", Tone.STILL)

    @admin.display(description="next file", ordering="due_at")
    def next_file(self, row: ExportSchedule) -> datetime | None:
        return row.due_at if row.enabled else None
