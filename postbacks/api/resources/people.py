"""Members of the organization, and invitations to it."""

from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from apps_registry.models import Invitation, Membership
from apps_registry.models.invitations import InvitationState
from apps_registry.people import invitations, members
from apps_registry.roles import Right, Role
from postbacks.api.authentication import Caller
from postbacks.api.base import OrganizationViewSet
from postbacks.api.fields import MillisecondDateTimeField
from postbacks.api.problems import Conflict
from postbacks.api.query import PageQuery
from postbacks.api.strict import StrictSerializer
from postbacks.api.throttling import TooFast


class MemberSerializer(StrictSerializer):
    """A member. Only the role can be changed."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    email = serializers.EmailField(source="user.email", read_only=True)
    name = serializers.CharField(source="user.name", read_only=True)
    role = serializers.ChoiceField(Role.choices)
    has_second_factor = serializers.SerializerMethodField(
        help_text="Whether an authenticator app or a passkey is set up; null unless an owner asks."
    )
    created_at = MillisecondDateTimeField(read_only=True)

    def get_has_second_factor(self, row: Any) -> bool | None:
        """Return it to owners only: it tells which accounts are easy prey."""
        caller: Caller = self.context["request"].user
        return bool(row.has_second_factor) if caller.allows(Right.MANAGE) else None

    def update(self, instance: Membership, validated_data: dict[str, Any]) -> Membership:
        if "role" in validated_data:
            _as_conflict(members.change_role, instance, validated_data["role"])
        return instance


class MemberQuery(PageQuery):
    """Filters of members."""

    role = serializers.ChoiceField(Role.choices, required=False)
    email = serializers.CharField(required=False)

    lookups = {"email": "user__email"}


class MemberViewSet(OrganizationViewSet):
    """People of the organization, who join by invitation."""

    model = Membership  # type: ignore[assignment]  # reached through apps_registry/people/members.py alone
    serializer_class = MemberSerializer
    queries = {"list": MemberQuery}
    can_be_exported = False
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "partial_update": Right.MANAGE,
        "destroy": Right.MANAGE,
    }

    def get_queryset(self) -> Any:
        return members.of_organization(self.caller.organization_id)

    def partial_update(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Change a member's role; the last owner keeps it."""
        serializer = self.get_serializer(self.get_object(), data=request.data, partial=True)
        serializer.is_valid(raise_exception=True)
        serializer.save()
        return Response(serializer.data)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Remove a member: sign-in and personal tokens end at once; the last owner stays."""
        _as_conflict(members.remove, self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


class InvitationSerializer(StrictSerializer):
    """An invitation. Only its mail contains the link."""

    id = serializers.UUIDField(source="public_id", read_only=True)
    email = serializers.EmailField(max_length=254)
    role = serializers.ChoiceField(Role.choices)
    status = serializers.ChoiceField(InvitationState.choices, source="state", read_only=True)
    invited_by = serializers.EmailField(
        source="invited_by.email", read_only=True, allow_null=True, default=None
    )
    created_at = MillisecondDateTimeField(read_only=True)
    mailed_at = MillisecondDateTimeField(
        read_only=True, allow_null=True, help_text="When the mail was sent; null if sending failed."
    )
    expires_at = MillisecondDateTimeField(read_only=True)
    accepted_at = MillisecondDateTimeField(read_only=True, allow_null=True)
    revoked_at = MillisecondDateTimeField(read_only=True, allow_null=True)

    def create(self, validated_data: dict[str, Any]) -> Invitation:
        """Invite; the mail goes out after the commit."""
        caller: Caller = self.context["request"].user
        try:
            return invitations.invite(
                organization_id=caller.organization_id, by=caller.user, **validated_data
            )
        except DjangoValidationError as error:
            raise serializers.ValidationError(error.message_dict) from None
        except invitations.TooManyInvitationsError as error:
            raise TooFast("Too many invitations within an hour", error.wait) from None


class InvitationQuery(PageQuery):
    """Filters of invitations."""

    email = serializers.CharField(required=False)
    role = serializers.ChoiceField(Role.choices, required=False)


class InvitationViewSet(OrganizationViewSet, mixins.CreateModelMixin):
    """Memberships that are offered to an e-mail address for seven days."""

    model = Invitation  # type: ignore[assignment]  # reached through apps_registry/people/invitations.py
    serializer_class = InvitationSerializer
    queries = {"list": InvitationQuery}
    can_be_exported = False
    rights = {
        "list": Right.READ,
        "retrieve": Right.READ,
        "create": Right.MANAGE,
        "destroy": Right.MANAGE,
    }

    def get_queryset(self) -> Any:
        return invitations.of_organization(self.caller.organization_id)

    def destroy(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """Revoke an invitation: its link ends, and it stays in the list."""
        invitations.revoke(self.get_object())
        return Response(status=status.HTTP_204_NO_CONTENT)


def _as_conflict(change: Any, *arguments: Any) -> None:
    """Make a change; raises Conflict (409) where the state of things forbids it."""
    try:
        change(*arguments)
    except DjangoValidationError as error:
        raise Conflict(" ".join(error.messages)) from None
