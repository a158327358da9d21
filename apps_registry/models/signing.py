"""The secrets with which postbacks are signed, as in Standard Webhooks."""

import base64
import secrets
import uuid
from datetime import timedelta
from typing import ClassVar

from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone

from apps_registry.crypto import encryption
from apps_registry.crypto.keys import SIGNING_SECRET
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import TenantModel, current_organization

OVERLAP = timedelta(hours=24)  # how long the previous secret stays valid by default
LONGEST_OVERLAP = timedelta(days=30)
_BYTES = 32


class SigningSecret(SealedSecret):
    """An organization's secret with which receivers verify signatures.

    One is current. After a rotation the previous one stays valid until `expires_at`, and postbacks
    carry the signatures of both.
    """

    audited: ClassVar[tuple[str, ...]] = ("expires_at",)

    public_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField("created", auto_now_add=True)
    expires_at = models.DateTimeField("valid until", null=True, blank=True, editable=False)

    audited_secrets = ("sealed",)

    class Meta(TenantModel.Meta):
        db_table = "signing_secret"
        verbose_name = "signing secret"
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["organization"],
                condition=Q(expires_at=None),
                name="one_current_signing_secret",
                violation_error_message="The organization has a current signing secret.",
            )
        ]

    def __str__(self) -> str:
        return f"{SIGNING_SECRET}•••{self.ending}"

    @property
    def is_valid(self) -> bool:
        return self.expires_at is None or self.expires_at > timezone.now()

    @property
    def encryption_context(self) -> str:
        return _encryption_context(self.organization_id, str(self.public_id))

    @property
    def operator_label(self) -> str:
        return f"signing secret “{self}”"


def ensure_signing_secret() -> SigningSecret:
    """Return the organization's current secret; make the first if there is none."""
    return SigningSecret.objects.filter(expires_at=None).first() or _make(SigningSecret())


@transaction.atomic
def rotate_signing_secret(
    overlap: timedelta = OVERLAP, *, fresh: SigningSecret | None = None
) -> SigningSecret:
    """Make a new secret, in the unsaved row `fresh` if it is passed.

    The previous secret stays valid for the overlap. Any older one ends now, so that receivers never
    try more than two.
    """
    now = timezone.now()
    secrets_of_organization = SigningSecret.objects.select_for_update()
    secrets_of_organization.filter(expires_at__gt=now).update(expires_at=now)
    secrets_of_organization.filter(expires_at=None).update(expires_at=now + overlap)
    return _make(fresh or SigningSecret())


def open_signing_secret(organization_id: int, public_id: str, sealed: str) -> str:
    """Decrypt a secret that was loaded without the ORM."""
    return encryption.decrypt(sealed, context=_encryption_context(organization_id, public_id))


def _make(fresh: SigningSecret) -> SigningSecret:
    text = SIGNING_SECRET + base64.b64encode(secrets.token_bytes(_BYTES)).decode()
    fresh.organization_id = current_organization() or 0
    fresh.seal(text)
    # The last characters without base64's padding, which all secrets share.
    fresh.ending = text.rstrip("=")[-4:]
    fresh.save()
    return fresh


def _encryption_context(organization_id: int, public_id: str) -> str:
    return f"{organization_id}:signing_secret:{public_id}"
