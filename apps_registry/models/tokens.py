"""API tokens, with which programs use the management API."""

import uuid
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q

from apps_registry.models.organizations import User
from apps_registry.models.sealed import RevocableModel
from apps_registry.roles import RIGHTS, Right, Role, common_rights
from apps_registry.tenancy import TenantModel

SCOPES = (
    (Right.READ.value, "Read: apps, rules, events and the delivery log"),
    (Right.EXPORT.value, "Export: take lists away as CSV"),
    (Right.SET_UP.value, "Set up: apps, partners, campaigns and rules"),
    (Right.RESEND.value, "Resend: postbacks, and test sends"),
    (Right.MANAGE.value, "Manage: members, keys and tokens, where credentials may go"),
)


def every_scope() -> list[str]:
    """Return all scopes, so that the role alone limits the token."""
    return [scope for scope, _ in SCOPES]


class ApiToken(RevocableModel):
    """A person's or the organization's token. Shown once, stored as a hash.

    It has the rights that both its role and its scopes allow. A personal token never has more
    rights than its person's membership at that moment.
    """

    audited: ClassVar[tuple[str, ...]] = (
        "name",
        "user",
        "role",
        "scopes",
        "expires_at",
        "revoked_at",
    )

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this token.",
    )
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
    scopes = ArrayField(
        models.CharField(max_length=16, choices=SCOPES),
        default=every_scope,
        help_text=(
            "What of that it may do, for example only Read. What its role does not allow is left "
            "out."
        ),
    )
    prefix = models.CharField(
        "begins with",
        max_length=16,
        editable=False,
        help_text="The start of the token, for example pbt_a1B2c3, to recognize it by.",
    )
    hash = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    last_used_at = models.DateTimeField("last used", null=True, blank=True, editable=False)
    expires_at = models.DateTimeField(
        "expires",
        null=True,
        blank=True,
        help_text=(
            "When the token stops working, in the organization's time zone, for example "
            "2027-01-31 00:00:00. Empty: never."
        ),
    )

    class Meta(TenantModel.Meta):
        db_table = "api_token"
        verbose_name = "API token"

    def __str__(self) -> str:
        return f"{self.prefix}… {self.name}"

    @property
    def is_personal(self) -> bool:
        """Return whether the token is a person's own, which ends when the person leaves."""
        return self.user_id is not None

    def rights(self, member_role: str | None = None) -> frozenset[Right]:
        """Return the token's rights; for a personal one pass its person's current role."""
        roles = [self.role] if member_role is None else [self.role, member_role]
        return common_rights(*roles) & {right for right in Right if right.value in self.scopes}

    @staticmethod
    def scopes_of(rights: "frozenset[Right]") -> list[str]:
        """Return rights as scopes, in display order."""
        return [scope for scope, _ in SCOPES if scope in rights]

    @staticmethod
    def roles_within(role: str) -> list[str]:
        """Return the roles that have no more rights than this one."""
        return [name for name in Role.values if RIGHTS[name] <= RIGHTS[role]]

    @staticmethod
    def visible_to(user: User | None, *, manages: bool) -> Q:
        """Return the filter for a user's own tokens; with `manages` also the organization's."""
        own = Q(user=user) if user is not None else Q(pk=None)
        return own | Q(user=None) if manages else own
