"""The scoped base of every admin page: whose rows a page shows.

A page that forgets this base is the system check's error apps_registry.E001.
"""

from collections.abc import Iterable
from typing import Any, ClassVar, TypeVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db import models
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.text import capfirst

from apps_registry.admin_base import theme
from apps_registry.admin_base.csv_export import Exporting
from apps_registry.admin_base.lookups import is_asked
from apps_registry.admin_base.permissions import ByRole, allowed
from apps_registry.admin_base.row_history import WithHistory
from apps_registry.roles import Right
from apps_registry.tenancy import Lifecycle, TenantModel, current_organization

M = TypeVar("M", bound=models.Model)
_OTHER_WAYS_TO_SAVE = ("show_save_and_add_another", "show_save_and_continue")
Fieldsets = Any  # Django's own type for them can't be named outside of the stubs


class TenantForm(forms.ModelForm):
    """Checks a row as the organization's own, so that its constraints are errors beside the form.

    Django leaves constraints out that name a field which the form doesn't have, and both of these
    are set by us.
    """

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # Django's own arguments
        for name, field in self.fields.items():
            if isinstance(field, ModelChoiceField) and field.queryset is not None:
                chosen = getattr(self.instance, f"{name}_id", None)
                field.queryset = _in_use(field.queryset, chosen)

    def _post_clean(self) -> None:
        if self.instance.organization_id is None:
            self.instance.organization_id = current_organization()
        super()._post_clean()  # type: ignore[misc]  # not in the stubs

    def _get_validation_exclusions(self) -> set[str]:
        left_out: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]  # likewise
        return left_out - {"organization", "status"}


class ScopedAdmin(ByRole, WithHistory, Exporting):
    """A page whose rows the subclass must scope by itself, since their table has no wall."""

    nothing_yet: ClassVar[str] = ""  # what an empty list says: one sentence on what to do next
    facts: ClassVar[tuple[str, ...]] = ()  # read-only fields below the form of a saved row
    facts_explained: ClassVar[str] = ""
    only_save: ClassVar[bool] = False  # leave out “and add another” and “and continue editing”

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        """Title the list by what it shows."""
        title = capfirst(str(self.opts.verbose_name_plural))
        shown = {"title": title, "may_export": allowed(request, Right.EXPORT)}
        return super().changelist_view(request, {**shown, **(extra_context or {})})

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        """Offer as many ways to save as the page has use for."""
        shown = {} if not self.only_save else dict.fromkeys(_OTHER_WAYS_TO_SAVE, False)
        context = {**shown, **(extra_context or {})}
        return super().changeform_view(request, object_id, form_url, context)

    def get_fieldsets(self, request: HttpRequest, obj: models.Model | None = None) -> Fieldsets:
        """Show facts below the form once there are any."""
        fieldsets = super().get_fieldsets(request, obj)
        if obj is None or not self.facts:
            return fieldsets
        details = {
            "fields": self.facts,
            "description": self.facts_explained,
            "classes": ["collapse"],
        }
        return [*fieldsets, ("Details", details)]

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Answer what the page's filters ask, and no other question from the address bar.

        Django lets every field be asked in every way, much of which PostgreSQL refuses, as a
        pattern that is none, or a NUL character.
        """
        return (
            "\x00" not in str(value)
            and is_asked(lookup, self.opts, self.list_filter)
            and super().lookup_allowed(lookup, value, request)
        )

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        """Refuse to show rows that nobody has scoped."""
        raise NotImplementedError(f"{type(self).__name__} must say whose rows it shows.")

    def ask_first(
        self,
        request: HttpRequest,
        queryset: Iterable[models.Model],
        *,
        action: str,
        question: str,
        description: str = "",
    ) -> TemplateResponse | None:
        """Return the page that asks before an action; None once the person has said yes."""
        if request.POST.get("confirmed"):
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": question,
            "description": description,
            "opts": self.opts,
            "objects": queryset,
            "action": action,
            "action_checkbox_name": helpers.ACTION_CHECKBOX_NAME,
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "admin/confirm_action.html", context)


class TenantAdmin(ScopedAdmin):
    """A page of an organization's own rows. The manager scopes them, and raises without one."""

    form = TenantForm
    fixed_fields: ClassVar[tuple[str, ...]] = ()  # chosen once, since history hangs on them

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        """Return the organization's rows."""
        queryset: models.QuerySet[models.Model] = self.model.objects.all()
        ordering = self.get_ordering(request)
        return queryset.order_by(*ordering) if ordering else queryset

    def get_readonly_fields(
        self, request: HttpRequest, obj: models.Model | None = None
    ) -> list[str] | tuple[str, ...]:
        """Keep fixed fields as they were first saved."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return (*fields, *self.fixed_fields) if obj else fields


class ArchivingAdmin(TenantAdmin):
    """A page whose rows are archived instead of deleted: names free up, history stays."""

    actions = ["archive"]
    facts_explained = (
        "Archiving is an action of the list. Archived rows leave lists and choices; their history "
        "stays."
    )
    archived: ClassVar[str] = Lifecycle.ARCHIVED

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Leave archived rows as history knows them."""
        is_archived = getattr(obj, "status", None) == self.archived
        return not is_archived and super().has_change_permission(request, obj)

    @admin.action(permissions=["change"], description="Archive selected %(verbose_name_plural)s")
    def archive(
        self, request: HttpRequest, queryset: models.QuerySet[models.Model]
    ) -> TemplateResponse | None:
        """Archive rows after asking."""
        plural = self.opts.verbose_name_plural
        page = self.ask_first(
            request,
            queryset,
            action="archive",
            question=f"Archive these {plural}?",
            description="They leave lists and choices. Their history stays, their names free up.",
        )
        if page:
            return page
        for row in queryset.exclude(status=self.archived):
            row.status = self.archived  # type: ignore[attr-defined]  # the subclass's model has it
            row.save(update_fields=["status"])
        self.message_user(request, "Archived.", messages.SUCCESS)
        return None


class TenantInline(ByRole, theme.TabularInline):
    """Rows of an organization inside the page of their parent."""

    form = TenantForm
    extra = 0
    explained: ClassVar[str] = ""  # the sentence above the rows
    template_before = "unfold/helpers/inline_explained.html"

    def get_queryset(self, request: HttpRequest) -> models.QuerySet[models.Model]:
        """Return the organization's rows; the formset keeps those of the parent."""
        queryset: models.QuerySet[models.Model] = self.model.objects.all()
        ordering = self.get_ordering(request)
        queryset = queryset.order_by(*ordering) if ordering else queryset
        return queryset if self.has_view_permission(request) else queryset.none()


class TenantRelatedFilter(admin.RelatedFieldListFilter):
    """Filters a list by rows of the organization; a relation to anybody's rows is refused."""

    def field_choices(  # type: ignore[override]  # a plain text is a label too
        self,
        field: "models.Field[object, object]",
        request: HttpRequest,
        model_admin: admin.ModelAdmin,
    ) -> list[tuple[str, str]]:
        """Return the organization's own rows as choices, by name."""
        related = field.related_model
        if not (isinstance(related, type) and issubclass(related, TenantModel)):
            raise TypeError(f"{field} leads to rows of every organization.")
        return sorted(((str(row.pk), str(row)) for row in related.objects.all()), key=_by_label)


def _in_use(rows: "models.QuerySet[M]", chosen: int | None) -> "models.QuerySet[M]":
    """Return rows without archived ones, except for the one that is chosen already."""
    if not any(field.name == "status" for field in rows.model._meta.fields):
        return rows
    return rows.filter(~models.Q(status=Lifecycle.ARCHIVED) | models.Q(pk=chosen))


def _by_label(choice: tuple[str, str]) -> str:
    return choice[1].casefold()
