"""Permissions in the admin: the member's role decides, not Django's permissions."""

from datetime import datetime
from typing import ClassVar

from django import forms
from django.contrib.admin.options import BaseModelAdmin
from django.db import models
from django.forms import ModelChoiceField
from django.http import HttpRequest

from apps_registry.models import Membership, User
from apps_registry.roles import Right
from apps_registry.tenancy import TenantModel


def membership_of(request: HttpRequest) -> Membership | None:
    """Return the membership that the middleware set on the request."""
    return getattr(request, "membership", None)


def user_of(request: HttpRequest) -> User | None:
    """Return the user who is signed in."""
    return request.user if isinstance(request.user, User) else None


def end_of_visit(request: HttpRequest) -> datetime | None:
    """Return when an operator's visit ends; None for members, who are not visiting."""
    visit = getattr(request, "visit", None)
    return visit.until if visit else None


def allowed(request: HttpRequest, right: Right | None) -> bool:
    """Return whether the request's member has a right; nobody has the right None."""
    membership = membership_of(request)
    return right is not None and membership is not None and membership.allows(right)


class RolePermissionsAdmin(BaseModelAdmin):
    """A page whose permissions follow from the member's role.

    Every member may read. Adding and changing require SET_UP unless a subclass overrides it.
    """

    right_to_add: ClassVar[Right | None] = Right.SET_UP
    right_to_change: ClassVar[Right | None] = Right.SET_UP
    right_to_delete: ClassVar[Right | None] = None  # rows that history refers to are never deleted

    def has_module_permission(self, request: HttpRequest) -> bool:
        return allowed(request, Right.READ)

    def has_view_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return allowed(request, Right.READ)

    def has_add_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return allowed(request, self.right_to_add)

    def has_change_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return allowed(request, self.right_to_change)

    def has_delete_permission(self, request: HttpRequest, obj: models.Model | None = None) -> bool:
        return allowed(request, self.right_to_delete)

    def formfield_for_foreignkey(
        self, db_field: "models.ForeignKey[object, object]", request: HttpRequest, **kwargs: object
    ) -> ModelChoiceField | None:
        related = db_field.remote_field.model
        if issubclass(related, TenantModel):
            kwargs["queryset"] = related.objects.all()
        else:  # a table without row-level security offers nothing unless the page scopes it
            kwargs.setdefault("queryset", related._default_manager.none())
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def formfield_for_manytomany(
        self,
        db_field: "models.ManyToManyField[models.Model, models.Model]",
        request: HttpRequest,
        **kwargs: object,
    ) -> forms.ModelMultipleChoiceField | None:
        related = db_field.remote_field.model
        rows = related.objects.all() if issubclass(related, TenantModel) else None
        kwargs["queryset"] = related._default_manager.none() if rows is None else rows
        return super().formfield_for_manytomany(db_field, request, **kwargs)


class ReadOnlyAdmin(RolePermissionsAdmin):
    """A page of rows that nobody adds or changes."""

    right_to_add = None
    right_to_change = None
