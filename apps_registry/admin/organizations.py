"""The organization and its members. Their tables carry no policy: this module is their wall."""

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Right, Role
from apps_registry.tenancy import NoTenantError, current_organization
from apps_registry.tenant_admin import ScopedAdmin


@admin.register(Organization)
class OrganizationAdmin(ScopedAdmin):
    """The organization's own row, and no other."""

    list_display = ["name", "time_zone", "created_at"]
    readonly_fields = ["public_id", "created_at"]
    right_to_add = None
    right_to_change = Right.MANAGE

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        """Return the current organization."""
        return Organization.objects.filter(pk=_here())


class NewMemberForm(forms.ModelForm):
    """Adds a person who has an account, by the exact address."""

    email = forms.EmailField(help_text="The address with which the person signs in.")

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

    list_display = ["email", "name", "role", "created_at"]
    list_filter = ["role"]
    search_fields = ["user__email", "user__name"]
    ordering = ["user__email"]
    readonly_fields = ["name", "created_at"]
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

    def get_fields(
        self, request: HttpRequest, obj: Model | None = None
    ) -> list[str | list[str] | tuple[str, ...] | tuple[()]]:
        """Show who it is beside the role."""
        return ["name", "role", "created_at"] if obj else ["email", "role"]

    @admin.display(ordering="user__email")
    def email(self, membership: Membership) -> str:
        """Show the address."""
        return membership.user.email

    @admin.display(description="person")
    def name(self, membership: Membership) -> str:
        """Show the name, or the address where somebody gave none."""
        return str(membership.user)


def _members() -> QuerySet[Membership]:
    return Membership.objects.filter(organization_id=_here())


def _here() -> int:
    """Return the current organization's id; without one nothing may be shown at all."""
    organization_id = current_organization()
    if organization_id is None:
        raise NoTenantError("Members were asked for outside of an organization.")
    return organization_id
