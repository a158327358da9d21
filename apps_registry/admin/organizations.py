"""The organization's own page. Its table has no row-level security: this module scopes it."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from apps_registry.admin_base.form_fields import TimeZoneAdmin
from apps_registry.admin_base.list_cells import CreatedColumn
from apps_registry.admin_base.tenant_admin import ScopedAdmin
from apps_registry.models import Organization, User
from apps_registry.people.members import has_second_factor
from apps_registry.roles import Right
from apps_registry.tenancy import NoTenantError, current_organization

_SECURITY_EXPLAINED = "Members with only a password see no page until they set up a second factor."


class OrganizationForm(forms.ModelForm):
    """Keeps owners from locking themselves out by requiring a second factor."""

    person: User  # set by `OrganizationAdmin.get_form`

    def clean_require_second_factor(self) -> bool:
        is_on = bool(self.cleaned_data["require_second_factor"])
        turns_on = is_on and "require_second_factor" in self.changed_data
        if turns_on and not has_second_factor(self.person):
            link = format_html('<a class="pb-link" href="{}">Set one up</a>', reverse("mfa_index"))
            raise ValidationError(
                format_html("You have no second factor yourself. {}, then come back.", link)
            )
        return is_on


@admin.register(Organization)
class OrganizationAdmin(CreatedColumn, TimeZoneAdmin, ScopedAdmin):
    """The current organization's row."""

    form = OrganizationForm
    single_save_button = True
    list_display = ["name", "time_zone", "created"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "time_zone", "currency"],
                "description": "Colleagues see the name beside the pages, every time and day in "
                "this zone, and revenue in this currency.",
            },
        ),
        ("Security", {"fields": ["require_second_factor"], "description": _SECURITY_EXPLAINED}),
    ]
    detail_fields = ("public_id", "created")
    readonly_fields = detail_fields
    right_to_add = None
    right_to_change = Right.MANAGE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return Organization.objects.filter(pk=require_organization_id())

    def get_form(
        self,
        request: HttpRequest,
        obj: Model | None = None,
        change: bool = False,
        **kwargs: object,
    ) -> type[forms.ModelForm]:
        form: type[forms.ModelForm] = super().get_form(request, obj, change=change, **kwargs)
        return type(form.__name__, (form,), {"person": request.user})


def require_organization_id() -> int:
    """Return the current organization's id, to scope tables without row-level security.

    Raises NoTenantError outside of an organization.
    """
    organization_id = current_organization()
    if organization_id is None:
        raise NoTenantError("Rows without a wall were asked for outside of an organization.")
    return organization_id
