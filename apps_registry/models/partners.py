"""Partners, their credentials, and the hosts that may receive these."""

import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q

from apps_registry.crypto import encryption
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import Lifecycle, TenantModel

HOST = RegexValidator(
    r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?(:\d{1,5})?$",
    "Write a host without https:// and path, for example ads.example.com or *.example.com.",
)
_HIGHEST_PORT = 65_535


class HostValidator(RegexValidator):
    """Accepts what HOST does, save ports that do not exist; names the port or the dot at fault."""

    def __call__(self, value: Any) -> None:
        host, colon, port = str(value).rpartition(":")
        host = host if colon else port
        if colon and not (port.isascii() and port.isdigit() and 0 < int(port) <= _HIGHEST_PORT):
            message = f"“{port[:20]}” is not a port: ports go from 1 to 65535."
            raise ValidationError(message)
        if host.endswith("."):
            raise ValidationError("The host ends with a dot; write it without.")
        super().__call__(value)


ALLOWED_HOST = HostValidator(HOST.regex, HOST.message)  # where people enter one
NETWORK_ID = RegexValidator(
    r"^[A-Za-z0-9][A-Za-z0-9.-]{0,254}$",
    "Write it as the network does, for example 4fzdc2evr5.skadnetwork.",
)
CREDENTIAL_NAME = RegexValidator(
    r"^[a-z][a-z0-9_]{0,63}$",
    "Write a name of small letters, digits and underscores, for example api_key.",
)


class ClickSigning(models.TextChoices):
    """How clicks of a partner without a valid signature are treated."""

    OFF = "off", "Off: signatures are not looked at"
    REPORT = "report", "Report: each click says whether its signature holds"
    ENFORCE = "enforce", "Enforce: without a valid signature a click earns nothing"


class Partner(TenantModel):
    """An ad network, MMP, analytics tool or own server."""

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this partner.",
    )
    name = models.CharField(
        max_length=120, help_text="Who receives postbacks, for example Unity Ads."
    )
    allowed_hosts = ArrayField(
        models.CharField(max_length=255, validators=[HOST]),
        default=list,
        blank=True,
        help_text=(
            "Hosts that this partner's credentials may be sent to, separated by commas, "
            "for example ads.example.com. Only an owner can change them."
        ),
    )
    skadnetwork_ids = ArrayField(
        models.CharField(max_length=255, validators=[NETWORK_ID]),
        verbose_name="SKAdNetwork IDs",
        default=list,
        blank=True,
        help_text=(
            "By what Apple's postbacks name this network, separated by commas, for example "
            "4fzdc2evr5.skadnetwork. The ending .adattributionkit means the same."
        ),
    )
    click_signing = models.CharField(
        "signed clicks",
        max_length=16,
        choices=ClickSigning.choices,
        default=ClickSigning.OFF,
        help_text=(
            "Whether this partner's clicks must be signed with one of its click signing keys, for "
            "example Report for the first week, then Enforce."
        ),
    )
    template = models.CharField(
        "made from",
        max_length=64,
        blank=True,
        editable=False,
        help_text="The partner template that this partner was made from, for example tiktok.",
    )
    status = models.CharField(
        max_length=16, choices=Lifecycle.choices, default=Lifecycle.ACTIVE, editable=False
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    audited = ("name", "template", "allowed_hosts", "skadnetwork_ids", "click_signing", "status")

    class Meta(TenantModel.Meta):
        db_table = "partner"
        constraints = [
            models.UniqueConstraint(fields=["organization", "id"], name="partner_of_organization"),
            models.UniqueConstraint(
                fields=["organization", "name"],
                condition=Q(status="active"),
                name="one_active_partner_per_name",
                violation_error_message="Another partner has this name.",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.skadnetwork_ids = [name.lower() for name in self.skadnetwork_ids]
        super().save(*args, **kwargs)

    def set_credentials(self, secrets: Mapping[str, str | None]) -> None:
        """Store credentials by name; None removes one. Others stay as they are."""
        for name, secret in secrets.items():
            if secret is None:
                self.credentials.filter(name=name).delete()
                continue
            credential = self.credentials.filter(name=name).first()
            credential = credential or PartnerCredential(partner=self, name=name)
            credential.seal(secret)
            credential.save()


class PartnerCredential(SealedSecret):
    """A partner's secret for the macro `{{credential.name}}`, which people can set but not read."""

    partner = models.ForeignKey(
        Partner, models.PROTECT, related_name="credentials", db_constraint=False
    )
    name = models.CharField(
        max_length=64,
        validators=[CREDENTIAL_NAME],
        help_text="The name in the macro, for example api_key for {{credential.api_key}}.",
    )
    updated_at = models.DateTimeField("last set", auto_now=True)

    audited = ("name",)
    audited_secrets = ("sealed",)

    class Meta(TenantModel.Meta):
        db_table = "partner_credential"
        verbose_name = "credential"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "partner", "name"],
                name="one_credential_per_partner_and_name",
                violation_error_message="This partner already has a credential of this name.",
            )
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def audit_id(self) -> str:
        return str(self.partner.public_id)

    @property
    def audit_name(self) -> str:
        return f"{self.partner}: {self.name}"

    @property
    def encryption_context(self) -> str:
        return _encryption_context(self.partner.organization_id, self.partner_id, self.name)

    @property
    def operator_label(self) -> str:
        return f"partner “{self.partner}”, credential “{self.name}”"


def open_credential(organization_id: int, partner_id: int, name: str, sealed: str) -> str:
    """Decrypt a credential that was loaded without the ORM."""
    return encryption.decrypt(
        sealed, context=_encryption_context(organization_id, partner_id, name)
    )


def _encryption_context(organization_id: int, partner_id: int, name: str) -> str:
    return f"{organization_id}:partner_credential:{partner_id}:{name}"
