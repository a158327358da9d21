"""The organization's people and their roles."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.safestring import SafeString

from apps_registry.admin.organizations import require_organization_id
from apps_registry.admin_base.list_cells import day
from apps_registry.admin_base.permissions import allowed
from apps_registry.admin_base.tenant_admin import ScopedAdmin
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.models import Membership
from apps_registry.people import invitations, members
from apps_registry.roles import Right, Role

_EXPLAINED = "Every member sees everything but secrets; the role says what the person may change."


class MemberForm(forms.ModelForm):
    """Changes a member's role."""

    class Meta:
        model = Membership
        fields = ["role"]

    def clean_role(self) -> str:
        role = str(self.cleaned_data["role"])
        if role != Role.OWNER:
            members.require_another_owner(self.instance)
        return role


@admin.register(Membership)
class MembershipAdmin(ScopedAdmin):
    """Members, and below them the open invitations. Owners invite."""

    form = MemberForm
    single_save_button = True
    empty_list_text = "Invite a colleague."
    list_display = ["email", "name", "rank", "second_factor", "since"]
    list_filter = ["role"]
    search_fields = ["user__email", "user__name"]
    search_help_text = "Name or address"
    ordering = ["user__email"]
    fieldsets = [(None, {"fields": ["name", "email", "role", "since"], "description": _EXPLAINED})]
    readonly_fields = ["name", "email", "since"]
    right_to_add = None  # people come by invitation
    right_to_change = Right.MANAGE
    right_to_delete = Right.MANAGE
    list_after_template = "admin/apps_registry/membership/invitations.html"
    change_list_template = "admin/apps_registry/membership/change_list.html"
    delete_confirmation_template = "admin/apps_registry/membership/remove.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        rows = members.of_organization(require_organization_id()).order_by("user__email")
        return cast("QuerySet[Model]", rows)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = super().get_list_display(request)
        if allowed(request, Right.MANAGE):
            return list(columns)
        # Only owners may know which accounts a password alone opens.
        return [name for name in columns if name != "second_factor"]

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        actions: dict[str, Any] = super().get_actions(request)
        actions.pop("delete_selected", None)  # people are removed one by one, on purpose
        return actions

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, object] | None = None
    ) -> HttpResponse:
        rows = invitations.of_organization(require_organization_id())
        context = {
            "open_invitations": invitations.only_open(rows),
            "may_invite": allowed(request, Right.MANAGE),
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def delete_view(
        self,
        request: HttpRequest,
        object_id: str,
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        try:
            answer: HttpResponse = super().delete_view(request, object_id, extra_context)
        except ValidationError as error:
            self.message_user(request, error.messages[0], messages.ERROR)
            return HttpResponseRedirect(
                reverse("admin:apps_registry_membership_change", args=[object_id])
            )
        return answer

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        members.remove(obj)

    @admin.display(description="e-mail address", ordering="user__email")
    def email(self, membership: Membership) -> str:
        return membership.user.email

    @admin.display(description="person")
    def name(self, membership: Membership) -> str:
        return str(membership.user)

    @admin.display(description="role", ordering="role")
    def rank(self, membership: Membership) -> SafeString:
        tone = Tone.INFO if membership.role == Role.OWNER else Tone.STILL
        return badge(membership.get_role_display(), tone)

    @admin.display(description="second factor")
    def second_factor(self, membership: Any) -> SafeString:
        if membership.has_second_factor:
            return badge("On", Tone.GOOD)
        return badge("Off", Tone.STILL)

    @admin.display(description="member since", ordering="created_at")
    def since(self, membership: Membership) -> SafeString | str:
        return day(membership.created_at)
