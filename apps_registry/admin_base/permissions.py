"""What a person may do on a page of the admin: the member's role decides."""

from typing import ClassVar

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.db import models
from django.forms import ModelChoiceField
from django.http import HttpRequest

from apps_registry.models import Membership
from apps_registry.roles import Right
from apps_registry.tenancy import TenantModel


def membership_of(request: HttpRequest) -> Membership | None:
    """Return the membership that the request acts under; the middleware has put it there."""
    return getattr(request, "membership", None)


def allowed(request: HttpRequest, right: Right | None) -> bool:
    """Tell whether the person of a request has a right; nobody has the right None."""
    membership = membership_of(request)
    return right is not None and membership is not None and membership.allows(right)


class RolePermissionsAdmin(BaseModelAdmin):
    """Asks the member's role in place of Django's permissions, which our people don't have."""

    right_to_add: ClassVar[Right | None] = Right.SET_UP
    right_to_change: ClassVar[Right | None] = Right.SET_UP
    right_to_delete: ClassVar[Right | None] = None  # nothing that history refers to is deleted

    def has_module_permission(self, request: HttpRequest) -> bool:
        """Show a package to everybody who may read."""
        return allowed(request, Right.READ)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Let every member read."""
        return allowed(request, Right.READ)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Let those add who have this page's right to."""
        return allowed(request, self.right_to_add)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Let those change who have this page's right to."""
        return allowed(request, self.right_to_change)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        """Let those delete who have this page's right to."""
        return allowed(request, self.right_to_delete)

    def formfield_for_foreignkey(
        self, db_field: "models.ForeignKey[object, object]", request: HttpRequest, **kwargs: object
    ) -> ModelChoiceField | None:
        """Offer the organization's own rows; a table without a wall of its own offers nothing."""
        related = db_field.remote_field.model
        if issubclass(related, TenantModel):
            kwargs["queryset"] = related.objects.all()
        else:
            kwargs.setdefault("queryset", related._default_manager.none())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self,
        db_field: "models.ManyToManyField[models.Model, models.Model]",
        request: HttpRequest,
        **kwargs: object,
    ) -> forms.ModelMultipleChoiceField | None:
        """Offer the organization's own rows, as for a foreign key."""
        related = db_field.remote_field.model
        rows = related.objects.all() if issubclass(related, TenantModel) else None
        kwargs["queryset"] = related._default_manager.none() if rows is None else rows
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class ReadOnlyAdmin(RolePermissionsAdmin):
    """Shows what happened: nobody can write it."""

    right_to_add = None
    right_to_change = None
