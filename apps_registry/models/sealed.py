"""The bases of models with a secret: an encrypted one, and one that can be revoked."""

from datetime import datetime, timedelta

from django.db import models
from django.utils import timezone

from apps_registry.crypto import encryption
from apps_registry.tenancy import TenantModel

_USE_PRECISION = timedelta(minutes=1)


class SealedSecret(TenantModel):
    """A secret that is encrypted for its own row. People can set it but not read it.

    A subclass names the `encryption_context`, in which alone the secret can be decrypted, and an
    `operator_label`. `manage.py rotate_encryption_keys` discovers every subclass.
    """

    sealed = models.TextField(editable=False)
    ending = models.CharField(max_length=4, editable=False)

    class Meta(TenantModel.Meta):
        abstract = True

    @property
    def encryption_context(self) -> str:
        """Return organization, table, owner and name, without which decryption fails."""
        raise NotImplementedError(f"{type(self).__name__} must say where its secret belongs.")

    @property
    def operator_label(self) -> str:
        """Return a label that tells an operator whose secret this is, without the secret."""
        raise NotImplementedError(f"{type(self).__name__} must say whose secret it holds.")

    def seal(self, secret: str) -> None:
        """Encrypt the secret for this row; store the ending of a long one to recognize it by."""
        self.sealed = encryption.encrypt(secret, context=self.encryption_context)
        self.ending = secret[-4:] if len(secret) >= 16 else ""

    def reveal(self) -> str:
        return encryption.decrypt(self.sealed, context=self.encryption_context)

    @property
    def masked(self) -> str:
        return f"•••{self.ending}"


def is_use_noted(last_used_at: datetime | None, now: datetime) -> bool:
    """Tell whether a key's last use is noted, to the minute; a write per call would cost more."""
    return last_used_at is not None and last_used_at >= now - _USE_PRECISION


class RevocableModel(TenantModel):
    """A key or token that stays in the list when it is revoked."""

    revoked_at = models.DateTimeField("revoked", null=True, blank=True, editable=False)

    class Meta(TenantModel.Meta):
        abstract = True

    def revoke(self) -> None:
        if self.revoked_at is None:
            self.revoked_at = timezone.now()
            self.save(update_fields=["revoked_at"])
