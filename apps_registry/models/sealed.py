"""The base of rows that hold a secret: whoever derives from it is rotated with all others."""

from django.db import models

from apps_registry.crypto import encryption
from apps_registry.tenancy import TenantModel


class SealedSecret(TenantModel):
    """A secret that is encrypted for its own row. Write-only for people.

    A subclass says where the secret belongs (`place`) and how an operator finds it (`described`);
    `manage.py rotate_encryption_keys` finds every subclass by itself.
    """

    sealed = models.TextField(editable=False)
    ending = models.CharField(max_length=4, editable=False)

    class Meta(TenantModel.Meta):
        abstract = True

    @property
    def encryption_context(self) -> str:
        """Return organization, table, owner and name: the secret opens nowhere else."""
        raise NotImplementedError(f"{type(self).__name__} must say where its secret belongs.")

    @property
    def operator_label(self) -> str:
        """Return whose secret this is, in an operator's words; never the secret."""
        raise NotImplementedError(f"{type(self).__name__} must say whose secret it holds.")

    def seal(self, secret: str) -> None:
        """Encrypt the secret for this row; only long ones show their last characters."""
        self.sealed = encryption.encrypt(secret, context=self.encryption_context)
        self.ending = secret[-4:] if len(secret) >= 16 else ""

    def reveal(self) -> str:
        """Return the secret for the wire."""
        return encryption.decrypt(self.sealed, context=self.encryption_context)

    @property
    def masked(self) -> str:
        """Return what people see of the secret."""
        return f"•••{self.ending}"
