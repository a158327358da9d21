"""The pages of people: members with their roles, and invitations, which owners send by mail."""

from typing import Any, ClassVar, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps_registry.admin.organizations import require_organization_id
from apps_registry.admin_base.list_cells import day
from apps_registry.admin_base.permissions import allowed, end_of_visit
from apps_registry.admin_base.tenant_admin import ScopedAdmin
from apps_registry.admin_base.theme import Tone, badge
from apps_registry.models import Invitation, Membership, User
from apps_registry.models.invitations import InvitationState
from apps_registry.people import invitations, members
from apps_registry.roles import Right, Role

_ROLES = "Every member sees everything but secrets; the role says what the person may change."


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
    fieldsets = [(None, {"fields": ["name", "email", "role", "since"], "description": _ROLES})]
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


_INVITING = (
    "The person gets a mail with a link that works once, for seven days. People with an account "
    "join with it; others choose a name and a password first."
)
_TONES = {
    InvitationState.OPEN: Tone.BUSY,
    InvitationState.ACCEPTED: Tone.GOOD,
    InvitationState.REVOKED: Tone.STILL,
    InvitationState.EXPIRED: Tone.STILL,
}


class InviteForm(forms.ModelForm):
    """Asks for the address and the role; validating the form sends the invitation."""

    inviter: User  # set by the page, with whether this is an operator's visit
    is_visit: bool

    class Meta:
        model = Invitation
        fields = ["email", "role"]

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        address = str(values.get("email", "")).casefold()
        if self.is_visit and address == self.inviter.email.casefold():
            self.add_error("email", "This is your own address: a visit leaves no way in behind.")
        if not self.errors:
            try:
                self.instance = invitations.invite(
                    organization_id=require_organization_id(),
                    email=values["email"],
                    role=values["role"],
                    by=self.inviter,
                )
            except ValidationError as error:
                self.add_error(None, error)
            except invitations.TooManyInvitationsError as error:
                self.add_error("email", str(error))
        return values

    def _post_clean(self) -> None:
        """Skip Django's checks of the row: `invite` has validated it."""


@admin.register(Invitation)
class InvitationAdmin(ScopedAdmin):
    """The invitations and their states."""

    form = InviteForm
    single_save_button = True
    empty_list_text = "Invite a colleague by e-mail."
    list_display = ["email", "role", "state", "inviter", "invited", "valid_until"]
    list_filter = ["role"]
    search_fields = ["email"]
    search_help_text = "Address"
    actions = ["send_again", "take_back"]
    right_to_add = Right.MANAGE
    right_to_change = None  # another address or role needs another invitation
    detail_fields: ClassVar[tuple[str, ...]] = (
        "state",
        "mailed",
        "inviter",
        "invited",
        "valid_until",
    )
    readonly_fields = detail_fields
    fieldsets = [(None, {"fields": ["email", "role"], "description": _INVITING})]

    def get_urls(self) -> list[URLPattern]:
        resend = self.admin_site.admin_view(require_POST(self.resend_view))
        revoke = self.admin_site.admin_view(require_POST(self.revoke_view))
        own = [
            path("<int:pk>/resend/", resend, name="apps_registry_invitation_resend"),
            path("<int:pk>/revoke/", revoke, name="apps_registry_invitation_revoke"),
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return cast("QuerySet[Model]", invitations.of_organization(require_organization_id()))

    def get_form(
        self,
        request: HttpRequest,
        obj: Model | None = None,
        change: bool = False,
        **kwargs: object,
    ) -> type[forms.ModelForm]:
        form: type[forms.ModelForm] = super().get_form(request, obj, change=change, **kwargs)
        return type(
            form.__name__,
            (form,),
            {"inviter": request.user, "is_visit": bool(end_of_visit(request))},
        )

    def add_view(
        self,
        request: HttpRequest,
        form_url: str = "",
        extra_context: dict[str, object] | None = None,
    ) -> HttpResponse:
        context = {"title": "Invite a colleague", **(extra_context or {})}
        return super().add_view(request, form_url, context)

    def save_model(
        self, request: HttpRequest, obj: Invitation, form: forms.ModelForm, change: bool
    ) -> None:
        """Write nothing: the form has sent the invitation."""

    def response_add(
        self, request: HttpRequest, obj: Invitation, post_url_continue: str | None = None
    ) -> HttpResponse:
        self.message_user(request, f"{obj.email} is invited.", messages.SUCCESS)
        return _to_members()

    def has_manage_permission(self, request: HttpRequest) -> bool:
        return allowed(request, Right.MANAGE)

    def resend_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        self._resend(request, [self._invitation(request, pk)])
        return _to_members()

    def revoke_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        invitations.revoke(self._invitation(request, pk))
        self.message_user(request, "The invitation is taken back.", messages.SUCCESS)
        return _to_members()

    @admin.action(permissions=["manage"], description="Send selected invitations again")
    def send_again(self, request: HttpRequest, queryset: "QuerySet[Invitation]") -> None:
        self._resend(request, list(queryset))

    @admin.action(permissions=["manage"], description="Take selected invitations back")
    def take_back(self, request: HttpRequest, queryset: "QuerySet[Invitation]") -> None:
        for invitation in queryset:
            invitations.revoke(invitation)
        self.message_user(request, "Taken back.", messages.SUCCESS)

    @admin.display(description="status")
    def state(self, invitation: Invitation) -> SafeString:
        if invitation.state is InvitationState.OPEN and invitation.mailed_at is None:
            return badge("Not mailed", Tone.BAD)
        return badge(invitation.state.label, _TONES[invitation.state])

    @admin.display(description="invited by", ordering="invited_by__email")
    def inviter(self, invitation: Invitation) -> str:
        return str(invitation.invited_by or "an API token")

    @admin.display(description="invited", ordering="created_at")
    def invited(self, invitation: Invitation) -> SafeString | str:
        return day(invitation.created_at)

    @admin.display(description="mailed")
    def mailed(self, invitation: Invitation) -> SafeString | str:
        return day(invitation.mailed_at, otherwise="not yet")

    @admin.display(description="valid until", ordering="expires_at")
    def valid_until(self, invitation: Invitation) -> SafeString | str:
        return day(invitation.expires_at)

    def _invitation(self, request: HttpRequest, pk: int) -> Invitation:
        if not allowed(request, Right.MANAGE):
            raise PermissionDenied
        return get_object_or_404(invitations.of_organization(require_organization_id()), pk=pk)

    def _resend(self, request: HttpRequest, selected: list[Invitation]) -> None:
        for invitation in selected:
            try:
                invitations.resend(invitation)
            except invitations.InvitationClosedError as closed:
                text = f"{invitation.email}: {closed.state.label.lower()}, so not sent again."
                self.message_user(request, text, messages.WARNING)
            except invitations.TooManyInvitationsError as error:
                self.message_user(request, f"{invitation.email}: {error}", messages.ERROR)
            else:
                text = f"A new link is on the way to {invitation.email}."
                self.message_user(request, text, messages.SUCCESS)


def _to_members() -> HttpResponse:
    return HttpResponseRedirect(reverse("admin:apps_registry_membership_changelist"))
