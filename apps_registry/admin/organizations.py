"""The organization and its members. Their tables carry no policy: this module is their wall."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Field, Model, QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from apps_registry.listing import CreatedColumn, day
from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Right, Role
from apps_registry.tenancy import NoTenantError, current_organization
from apps_registry.tenant_admin import Fieldsets, ScopedAdmin
from apps_registry.theme import Tone, badge
from apps_registry.time_zones import TimeZoneInput

_MEMBERS_EXPLAINED = (
    "Every member sees everything but secrets; the role says what the person may change."
)


@admin.register(Organization)
class OrganizationAdmin(CreatedColumn, ScopedAdmin):
    """The organization's own row, and no other."""

    only_save = True
    list_display = ["name", "time_zone", "created"]
    fieldsets = [
        (
            None,
            {
                "fields": ["name", "time_zone"],
                "description": "Colleagues see the name beside the pages, and every time and day "
                "in this zone.",
            },
        )
    ]
    facts = ("public_id", "created")
    readonly_fields = facts
    right_to_add = None
    right_to_change = Right.MANAGE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Return the current organization."""
        return Organization.objects.filter(pk=_here())

    def formfield_for_dbfield(
        self, db_field: "Field[Any, Any]", request: HttpRequest, **kwargs: Any
    ) -> forms.Field | None:
        """Offer the zones of the world."""
        if db_field.name == "time_zone":
            kwargs["widget"] = TimeZoneInput()
        return super().formfield_for_dbfield(db_field, request, **kwargs)


class NewMemberForm(forms.ModelForm):
    """Adds a person who has an account, by the exact address."""

    email = forms.EmailField(
        label="E-mail address",
        widget=forms.EmailInput(attrs={"class": "pb-input"}),
        help_text="With which the person signs in, for example ada@example.com.",
    )

    class Meta:
        model = Membership
        fields = ["role"]

    def clean_email(self) -> str:
        """Find the person, and refuse who already is a member."""
        email = str(self.cleaned_data["email"]).lower()
        person = User.objects.filter(email=email, is_active=True).first()
        if person is None:
            raise ValidationError("Nobody has an account with this address.")
        if _members().filter(user=person).exists():
            raise ValidationError("This person is already a member.")
        self.instance.user = person
        self.instance.organization_id = _here()
        return email


class MemberForm(forms.ModelForm):
    """Changes a member's role."""

    class Meta:
        model = Membership
        fields = ["role"]

    def clean_role(self) -> str:
        """Keep one owner: an organization that nobody owns can't be repaired from inside."""
        role = str(self.cleaned_data["role"])
        # Locked, so that two owners can't step down at the same moment.
        owners = {member.pk for member in _members().select_for_update().filter(role=Role.OWNER)}
        if role != Role.OWNER and owners == {self.instance.pk}:
            raise ValidationError("This is the last owner. Make somebody else an owner first.")
        return role


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    """The organization's people and their roles."""

    only_save = True
    nothing_yet = "Add a colleague who has an account."
    list_display = ["email", "name", "rank", "since"]
    list_filter = ["role"]
    search_fields = ["user__email", "user__name"]
    search_help_text = "Name or address"
    ordering = ["user__email"]
    readonly_fields = ["name", "since"]
    right_to_add = Right.MANAGE
    right_to_change = Right.MANAGE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Return the memberships of the current organization."""
        return _members().select_related("user").order_by("user__email")

    def get_form(
        self,
        request: HttpRequest,
        obj: Model | None = None,
        change: bool = False,
        **kwargs: object,
    ) -> type[forms.ModelForm]:
        """Ask for an address once, afterwards for the role alone."""
        kwargs["form"] = MemberForm if obj else NewMemberForm
        return super().get_form(request, obj, change=change, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Fieldsets:
        """Ask for the address once; afterwards show who it is beside the role."""
        fields = ["name", "email", "role", "since"] if obj else ["email", "role"]
        return [(None, {"fields": fields, "description": _MEMBERS_EXPLAINED})]

    def get_readonly_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> list[str] | tuple[str, ...]:
        """Keep the address as it is."""
        fields = super().get_readonly_fields(request, obj)
        return [*fields, "email"] if obj else fields

    @admin.display(description="e-mail address", ordering="user__email")
    def email(self, membership: Membership) -> str:
        """Show the address."""
        return membership.user.email

    @admin.display(description="person")
    def name(self, membership: Membership) -> str:
        """Show the name, or the address where somebody gave none."""
        return str(membership.user)

    @admin.display(description="role", ordering="role")
    def rank(self, membership: Membership) -> SafeString:
        """Show the role as a badge."""
        tone = Tone.INFO if membership.role == Role.OWNER else Tone.STILL
        return badge(membership.get_role_display(), tone)

    @admin.display(description="member since", ordering="created_at")
    def since(self, membership: Membership) -> SafeString | str:
        """Show the day."""
        return day(membership.created_at)


def _members() -> QuerySet[Membership]:
    return Membership.objects.filter(organization_id=_here())


def _here() -> int:
    """Return the current organization's id; without one nothing may be shown at all."""
    organization_id = current_organization()
    if organization_id is None:
        raise NoTenantError("Members were asked for outside of an organization.")
    return organization_id
