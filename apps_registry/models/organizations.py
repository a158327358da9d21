"""Organizations, people and their memberships. These tables have no row-level security."""

import uuid
import zoneinfo
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.utils import timezone

from apps_registry.audit.audited_model import AuditedModel, AuditedQuerySet
from apps_registry.roles import Right, Role, allows
from apps_registry.tenancy import tenant

_MACHINE_ZONES = {"Factory", "localtime", "posixrules"}  # they differ from machine to machine


CURRENCY = RegexValidator(r"^[A-Z]{3}$", "Write three capital letters, for example USD.")


def valid_time_zone(name: str) -> None:
    if name in _MACHINE_ZONES or name not in zoneinfo.available_timezones():
        raise ValidationError(f"“{name}” is not a time zone. Write one like Europe/Berlin or UTC.")


class Organization(AuditedModel):
    """A tenant: an advertiser or an agency."""

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How exports and support name this organization.",
    )
    name = models.CharField(
        max_length=120,
        help_text="Your company as your colleagues know it, for example Gem Harbor Studios.",
    )
    time_zone = models.CharField(
        max_length=64,
        default="UTC",
        validators=[valid_time_zone],
        help_text="Times are shown in this zone, for example Europe/Berlin.",
    )
    currency = models.CharField(
        max_length=3,
        default="USD",
        validators=[CURRENCY],
        help_text="Revenue is shown in this currency, by the rates of its days, for example EUR.",
    )
    require_second_factor = models.BooleanField(
        "require a second factor",
        default=False,
        help_text=(
            "Members set up an authenticator app or a passkey before they see any page, for "
            "example to meet a customer's security rules. API tokens are not affected."
        ),
    )
    created_at = models.DateTimeField("created", auto_now_add=True)
    removed_at = models.DateTimeField("removed", null=True, editable=False)

    audited = ("name", "time_zone", "currency", "require_second_factor", "removed_at")

    objects = models.Manager.from_queryset(AuditedQuerySet)()

    class Meta:
        db_table = "organization"

    def __str__(self) -> str:
        return self.name

    def in_its_organization(self) -> AbstractContextManager[None]:
        return tenant(self.pk)


class UserManager(BaseUserManager["User"]):
    """Creates users, who are identified by their e-mail address."""

    def create_user(self, email: str, password: str | None = None, **extra: Any) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password)
        user.save(using=self._db)
        return user

    def create_superuser(self, email: str, password: str | None = None, **extra: Any) -> "User":
        return self.create_user(email, password, is_superuser=True, **extra)


class User(AbstractBaseUser):
    """A person. Rights follow from memberships alone, never from this row."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    email = models.EmailField(unique=True, error_messages={"unique": "This address is taken."})
    name = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True)
    is_superuser = models.BooleanField("operator", default=False)
    date_joined = models.DateTimeField(default=timezone.now)

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects = UserManager()

    class Meta:
        db_table = "user_account"

    def __str__(self) -> str:
        return self.name or self.email

    def may_sign_in(self) -> bool:
        """Return whether the person is an operator or has a membership."""
        return self.is_superuser or self.memberships_for_sign_in().exists()

    def memberships_for_sign_in(self) -> "models.QuerySet[Membership]":
        """Return the person's memberships, oldest first: a session starts in the first."""
        return (
            Membership.objects.filter(user=self, organization__removed_at=None)
            .select_related("organization")
            .order_by("id")
        )


class Membership(AuditedModel):
    """A person's membership and role in an organization."""

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    organization = models.ForeignKey(Organization, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    role = models.CharField(
        max_length=16,
        choices=Role.choices,
        default=Role.ANALYST,
        help_text="Owners do everything, marketers set up and resend, analysts read and export.",
    )
    created_at = models.DateTimeField("member since", auto_now_add=True)

    audited = ("user", "role")

    objects = models.Manager.from_queryset(AuditedQuerySet)()

    class Meta:
        db_table = "membership"
        verbose_name = "member"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "user"],
                name="one_membership_per_person_and_organization",
                violation_error_message="This person is already a member.",
            )
        ]

    def __str__(self) -> str:
        return f"{self.user} ({self.get_role_display()})"

    @property
    def audit_name(self) -> str:
        """Return the person's address, since names are not unique."""
        return self.user.email

    def in_its_organization(self) -> AbstractContextManager[None]:
        return tenant(self.organization_id)

    def allows(self, right: Right) -> bool:
        return allows(self.role, right)


class ConfigurationVersion(models.Model):
    """One row, which triggers write with every change of what processes keep in memory."""

    id = models.SmallIntegerField(primary_key=True)
    version = models.BigIntegerField()

    class Meta:
        db_table = "configuration_version"

    def __str__(self) -> str:
        return str(self.version)
