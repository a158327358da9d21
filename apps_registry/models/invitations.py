"""Invitations to an organization.

The table has no row-level security, since a link is looked up before its organization is known:
`apps_registry/people/invitations.py` scopes the rows.
"""

import uuid
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from apps_registry.audit.audited_model import AuditedModel, AuditedQuerySet
from apps_registry.models.organizations import Organization, User
from apps_registry.roles import Role
from apps_registry.tenancy import tenant

LIFETIME = timedelta(days=7)


class InvitationState(models.TextChoices):
    """The state of an invitation."""

    OPEN = "open", "Open"
    ACCEPTED = "accepted", "Accepted"
    REVOKED = "revoked", "Revoked"
    EXPIRED = "expired", "Expired"


def _end_of_life() -> datetime:  # a migration names it
    return timezone.now() + LIFETIME


class Invitation(AuditedModel):
    """An offer of membership to an address. The link's token is stored as a hash."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(
        Organization, models.CASCADE, editable=False, related_name="invitations"
    )
    email = models.EmailField(
        "e-mail address",
        help_text="Where the link is sent, for example ada@example.com.",
    )
    role = models.CharField(
        max_length=16,
        choices=Role.choices,
        default=Role.ANALYST,
        help_text="Owners do everything, marketers set up and resend, analysts read and export.",
    )
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.ForeignKey(
        User, models.SET_NULL, null=True, blank=True, editable=False, related_name="+"
    )
    created_at = models.DateTimeField("invited", auto_now_add=True)
    expires_at = models.DateTimeField("valid until", default=_end_of_life, editable=False)
    mailed_at = models.DateTimeField("mailed", null=True, blank=True, editable=False)
    accepted_at = models.DateTimeField("accepted", null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField("revoked", null=True, blank=True, editable=False)

    audited = ("email", "role", "expires_at", "accepted_at", "revoked_at")

    objects = models.Manager.from_queryset(AuditedQuerySet)()

    class Meta:
        db_table = "invitation"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "email"],
                condition=models.Q(accepted_at=None, revoked_at=None),
                name="one_open_invitation_per_organization_and_address",
                violation_error_message="This address is invited already.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.email} ({self.get_role_display()})"

    def in_its_organization(self) -> AbstractContextManager[None]:
        return tenant(self.organization_id)

    @property
    def state(self) -> InvitationState:
        if self.accepted_at is not None:
            return InvitationState.ACCEPTED
        if self.revoked_at is not None:
            return InvitationState.REVOKED
        if self.expires_at <= timezone.now():
            return InvitationState.EXPIRED
        return InvitationState.OPEN
