"""The keys with which partners sign their clicks."""

import secrets
import uuid
from typing import ClassVar

from django.db import models

from apps_registry.crypto import encryption
from apps_registry.models.partners import Partner
from apps_registry.models.sealed import RevocableModel, SealedSecret
from apps_registry.tenancy import TenantModel

_BYTES = 32


def new_kid() -> str:
    """Return a new key ID, by which a link names the key."""
    return secrets.token_hex(4)


def new_secret() -> str:
    return secrets.token_hex(_BYTES)


class ClickSigningKey(RevocableModel, SealedSecret):
    """A secret with which a partner signs clicks; the link names it by `kid`.

    A partner may have several, so that the new one is in use before the old one is revoked.
    """

    audited: ClassVar[tuple[str, ...]] = ("partner", "kid", "revoked_at")
    audited_secrets: ClassVar[tuple[str, ...]] = ("sealed",)

    public_id = models.UUIDField(
        "ID in the API",
        default=uuid.uuid4,
        unique=True,
        editable=False,
        help_text="How the management API names this key.",
    )
    partner = models.ForeignKey(
        Partner,
        models.PROTECT,
        related_name="click_signing_keys",
        db_constraint=False,
        help_text="Who signs clicks with it, for example Unity Ads.",
    )
    kid = models.CharField(
        "key ID",
        max_length=16,
        default=new_kid,
        editable=False,
        help_text="What the link names as kid, for example 3f9a01bc.",
    )
    created_at = models.DateTimeField("created", auto_now_add=True)

    class Meta(TenantModel.Meta):
        db_table = "click_signing_key"
        verbose_name = "click signing key"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "partner", "kid"], name="one_click_key_per_partner_and_kid"
            )
        ]

    def __str__(self) -> str:
        return f"{self.partner} {self.kid}"

    @property
    def encryption_context(self) -> str:
        return _encryption_context(self.partner.organization_id, self.partner_id, self.kid)

    @property
    def operator_label(self) -> str:
        return f"partner “{self.partner}”, click signing key {self.kid}"


def open_click_key(organization_id: int, partner_id: int, kid: str, sealed: str) -> str:
    """Decrypt a key that was loaded without the ORM."""
    return encryption.decrypt(sealed, context=_encryption_context(organization_id, partner_id, kid))


def _encryption_context(organization_id: int, partner_id: int, kid: str) -> str:
    return f"{organization_id}:click_signing_key:{partner_id}:{kid}"
