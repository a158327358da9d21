"""The base classes of every admin page, which scope its rows to the organization.

The system check apps_registry.E001 reports a page without one of these bases.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.core.exceptions import PermissionDenied
from django.db import models
from django.db.models.options import Options
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from apps_registry.admin_base import audit_wording, theme
from apps_registry.admin_base.csv_export import CsvExportAdmin
from apps_registry.admin_base.permissions import RolePermissionsAdmin, allowed
from apps_registry.models import AuditEntry
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle, TenantModel, current_organization

M = TypeVar("M", bound=models.Model)
Fieldsets = Any  # Django's own type for them can't be named outside of the stubs
_OTHER_SAVE_BUTTONS = ("show_save_and_add_another", "show_save_and_continue")
_FILTER_LOOKUPS = frozenset({"exact", "in", "isnull", "id"})  # those of Django's own filters
_MAX_HISTORY = 100  # entries of a row; the audit log's own page has all of them


@dataclass(frozen=True, slots=True)
class ActionChoice:
    """A question of a confirmation page: a name, a sentence, and values with their labels."""

    name: str
    question: str
    options: tuple[tuple[str, str], ...]


class SubPage:
    """Base of pages that have no rows of their own and stand below a model's list."""

    def __init__(self, model_admin: admin.ModelAdmin) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site


class TenantForm(forms.ModelForm):
    """Validates a row with its organization and status, which are not fields of the form.

    Django skips constraints that name a field outside of the form; with both fields validated, a
    violated constraint is an error in the form.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own arguments
        for name, field in self.fields.items():
            if isinstance(field, ModelChoiceField) and field.queryset is not None:
                current = getattr(self.instance, f"{name}_id", None)
                field.queryset = _without_archived(field.queryset, keep=current)

    def _post_clean(self) -> None:
        if self.instance.organization_id is None:
            self.instance.organization_id = current_organization()
        super()._post_clean()  # type: ignore[misc]  # not in the stubs

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # likewise
        return excluded - {"organization", "status"}


class HistoryAdmin(admin.ModelAdmin):
    """A page whose history view shows the row's audit entries.

    Django's own log belongs to a person, who may work for several organizations, so nothing is
    written to it.
    """

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
            "lines": audit_wording.audit_rows(entries.order_by("-at", "-id")[:_MAX_HISTORY]),
            **(extra_context or {}),
        }
        return TemplateResponse(request, "admin/object_history.html", context)

    def log_addition(self, request: HttpRequest, obj: models.Model, message: object) -> Any:
        """Write nothing: the audit log has the entry."""

    def log_change(self, request: HttpRequest, obj: models.Model, message: object) -> Any:
        """Write nothing: the audit log has the entry."""

    def log_deletions(self, request: HttpRequest, queryset: Any) -> Any:
        """Write nothing: the audit log has the entry."""


class ScopedAdmin(RolePermissionsAdmin, HistoryAdmin, CsvExportAdmin):
    """A page whose subclass scopes the rows: their table has no row-level security."""

    empty_list_text: ClassVar[str] = ""  # the sentence in an empty list: what to do next
    list_title: ClassVar[str] = ""  # the sidebar's name for the list, where it is another
    detail_fields: ClassVar[tuple[str, ...]] = ()  # read-only fields below the form of a saved row
    details_description: ClassVar[str] = ""
    single_save_button: ClassVar[bool] = False  # hide “and add another” and “and continue editing”

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        title = self.list_title or capfirst(str(self.opts.verbose_name_plural))
        context = {"title": title, "may_export": allowed(request, Right.EXPORT)}
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        buttons = dict.fromkeys(_OTHER_SAVE_BUTTONS, False) if self.single_save_button else {}
        context = {**buttons, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def get_fieldsets(self, request: HttpRequest, obj: models.Model | None = None) -> Fieldsets:
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.detail_fields:
            return fieldsets
        details = {
            "fields": self.detail_fields,
            "description": self.details_description,
            "classes": ["collapse"],
        }
        return [*fieldsets, ("Details", details)]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Allow the lookups of the page's own filters only.

        Django allows any lookup on any field from the address bar, and PostgreSQL refuses many of
        them, such as an invalid pattern or a NUL character.
        """
        return (
            "\x00" not in str(value)
            and _is_filter_lookup(lookup, self.opts, self.list_filter)
            and super().lookup_allowed(lookup, value, request)
        )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        raise NotImplementedError(f"{type(self).__name__} must say whose rows it shows.")

    def confirm_action(
        self,
        request: HttpRequest,
        queryset: Iterable[models.Model],
        *,
        action: str,
        question: str,
        description: str = "",
        choice: "ActionChoice | None" = None,
    ) -> TemplateResponse | None:
        """Return the page that asks for confirmation, None once the person has confirmed.

        A `choice` is one more question, whose answer is sent under its name.
        """
        if request.POST.get("confirmed"):
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": question,
            "description": description,
            "choice": choice,
            "opts": self.opts,
            "objects": queryset,
            "action": action,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/confirm_action.html", context)


class TenantAdmin(ScopedAdmin):
    """A page of a TenantModel's rows, which its manager scopes."""

    form = TenantForm
    fixed_fields: ClassVar[tuple[str, ...]] = ()  # read-only once saved: history refers to them

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        queryset: models.QuerySet[models.Model] = self.model.objects.all()
        ordering = self.get_ordering(request)
        return queryset.order_by(*ordering) if ordering else queryset

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.Model | None = None
    ) -> list[str] | tuple[str, ...]:
        fields = tuple(super().get_readonly_fields(request, obj))
        return (*fields, *self.fixed_fields) if obj else fields


class ArchivingAdmin(TenantAdmin):
    """A page whose rows are archived instead of deleted: their history stays."""

    actions = ["archive"]
    details_description = (
        "Archiving is an action of the list. Archived rows leave lists and choices; their history "
        "stays."
    )
    archived: ClassVar[str] = Lifecycle.ARCHIVED
    # What other packages say that archiving these rows does besides.
    archiving_notes: ClassVar[tuple[Callable[[Any], str], ...]] = ()

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        is_archived = getattr(obj, "status", None) == self.archived
        return not is_archived and super().has_change_permission(request, obj)

    def archive_description(self, queryset: models.QuerySet[models.Model]) -> str:
        """Return what archiving these rows does; a page adds what is special to them."""
        usual = (
            "What is archived leaves lists and choices. Its history stays, and its name is free "
            "again."
        )
        notes = (note(queryset.exclude(status=self.archived)) for note in self.archiving_notes)
        return " ".join([usual, *filter(None, notes)])

    @admin.action(permissions=["change"], description="Archive selected %(verbose_name_plural)s")
    def archive(
        self, request: HttpRequest, queryset: models.QuerySet[models.Model]
    ) -> TemplateResponse | None:
        plural = self.opts.verbose_name_plural
        page = self.confirm_action(
            request,
            queryset,
            action="archive",
            question=f"Archive these {plural}?",
            description=self.archive_description(queryset),
        )
        if page:
            return page
        for row in queryset.exclude(status=self.archived):
            row.status = self.archived  # type: ignore[attr-defined]  # the subclass's model has it
            row.save(update_fields=["status"])
        self.message_user(request, "Archived.", messages.SUCCESS)
        return None


class TenantInline(RolePermissionsAdmin, theme.TabularInline):
    """The organization's rows inside the page of their parent."""

    form = TenantForm
    extra = 0
    explained: ClassVar[str] = ""  # the sentence above the rows
    template_before = "unfold/helpers/inline_explained.html"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        queryset: models.QuerySet[models.Model] = self.model.objects.all()
        ordering = self.get_ordering(request)
        queryset = queryset.order_by(*ordering) if ordering else queryset
        return queryset if self.has_view_permission(request) else queryset.none()


class SecretInline(TenantInline):
    """An inline with a field `secret`, which only those who may change the rows see."""

    def get_fields(
        self, request: HttpRequest, obj: models.Model | None = None
    ) -> list[str | list[str] | tuple[str, ...] | tuple[()]]:
        may_set = self.has_change_permission(request, obj)
        return [name for name in super().get_fields(request, obj) if may_set or name != "secret"]


class TenantRelatedFilter(admin.RelatedFieldListFilter):
    """Filters a list by the organization's own rows of a related TenantModel."""

    def field_choices(  # type: ignore[override]  # a plain text is a label too
        self,
        field: "models.Field[object, object]",
        request: HttpRequest,
        model_admin: admin.ModelAdmin,
    ) -> list[tuple[str, str]]:
        related = field.related_model
        if not (isinstance(related, type) and issubclass(related, TenantModel)):
            raise TypeError(f"{field} leads to rows of every organization.")
        return sorted(((str(row.pk), str(row)) for row in related.objects.all()), key=_by_label)


def _without_archived(rows: "models.QuerySet[M]", *, keep: int | None) -> "models.QuerySet[M]":
    if not any(field.name == "status" for field in rows.model._meta.fields):
        return rows
    return rows.filter(~models.Q(status=Lifecycle.ARCHIVED) | models.Q(pk=keep))


def _is_filter_lookup(lookup: str, options: "Options[Any]", filters: Iterable[Any]) -> bool:
    """Return whether a parameter belongs to a filter, or to no field of the model at all."""
    name, *transforms = lookup.split("__")
    if not transforms and name not in _field_names(options):
        return True  # Django's changelist ignores it
    parameters = {_filter_parameter(item) for item in filters}
    return lookup in parameters or (name in parameters and _FILTER_LOOKUPS.issuperset(transforms))


def _field_names(options: "Options[Any]") -> set[str]:
    fields = options.get_fields()
    attributes = {getattr(field, "attname", field.name) for field in fields}
    return {"pk", *(field.name for field in fields), *attributes}


def _filter_parameter(item: Any) -> str:
    if isinstance(item, str):
        return item
    return str(getattr(item, "parameter_name", None) or item[0])


def _by_label(choice: tuple[str, str]) -> str:
    return choice[1].casefold()
