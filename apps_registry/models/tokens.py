"""Tokens with which programs use the management API."""

import uuid

from django.db import models
from django.utils import timezone

from apps_registry.models.organizations import User
from apps_registry.roles import Role
from apps_registry.tenancy import TenantModel


class ApiToken(TenantModel):
    """A person's or the organization's token. Shown once, stored as a hash.

    A personal token never has more rights than its person's membership has at that moment.
    """

    public_id = models.UUIDField(
        "ID in the API", default=uuid.uuid4, unique=True, editable=False,
        help_text="How the management API names this token.",
    )  # fmt: skip
    name = models.CharField(
        max_length=120, help_text="What uses the token, for example nightly export."
    )
    user = models.ForeignKey(
        User, models.CASCADE, null=True, blank=True, editable=False, related_name="+"
    )
    role = models.CharField(
        max_length=16,
        choices=Role.choices,
        default=Role.ANALYST,
        help_text=(
            "What the token may do at most, for example Analyst for a program that only reads."
        ),
    )
    prefix = models.CharField(
        "begins with", max_length=16, editable=False,
        help_text="The start of the token, for example pbt_a1B2c3, to recognize it by.",
    )  # fmt: skip
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "expires", null=True, blank=True,
        help_text=(
            "When the token stops working, in the organization's time zone, for example "
            "2027-01-31 00:00:00. Empty: never."
        ),
    )  # fmt: skip
    revoked_at = models.DateTimeField("revoked", null=True, blank=True, editable=False)

    audited = ("name", "user", "role", "expires_at", "revoked_at")

    class Meta(TenantModel.Meta):
        db_table = "api_token"
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    def revoke(self) -> None:
        """End the token's life; a second time changes nothing."""
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])
