"""The key that decrypts Meta's part of the Play store's referrer."""

from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models

from apps_registry.crypto import encryption
from apps_registry.models.apps import App
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import TenantModel

REFERRER_KEY = RegexValidator(
    r"^[0-9a-fA-F]{64}$",
    "Copy the whole key from Meta: 64 characters, digits and the letters a to f.",
)


class ReferrerKey(SealedSecret):
    """An app's install referrer decryption key, as Meta shows it in the app's settings."""

    audited: ClassVar[tuple[str, ...]] = ("app",)
    audited_secrets: ClassVar[tuple[str, ...]] = ("sealed",)

    app = models.ForeignKey(App, models.PROTECT, related_name="referrer_keys", db_constraint=False)

    class Meta(TenantModel.Meta):
        db_table = "referrer_key"
        verbose_name = "install referrer key"
        constraints = [
            models.UniqueConstraint(
                fields=["organization", "app"],
                name="one_referrer_key_per_app",
                violation_error_message="This app has a key already; replace it.",
            )
        ]

    def __str__(self) -> str:
        return f"Meta's key of {self.app}"

    @property
    def audit_id(self) -> str:
        return str(self.app.public_id)

    @property
    def encryption_context(self) -> str:
        return _encryption_context(self.app.organization_id, self.app_id)

    @property
    def operator_label(self) -> str:
        return f"app “{self.app}”, Meta's install referrer key"


def set_referrer_key(app: App, secret: str | None) -> None:
    """Set or replace an app's key; None removes it."""
    key = ReferrerKey.objects.filter(app=app).first()
    if secret is None:
        if key is not None:
            key.delete()
        return
    key = key or ReferrerKey(app=app)
    key.seal(secret.lower())
    key.save()


def open_referrer_key(organization_id: int, app_id: int, sealed: str) -> str:
    """Decrypt a key that was loaded without the ORM."""
    return encryption.decrypt(sealed, context=_encryption_context(organization_id, app_id))


def _encryption_context(organization_id: int, app_id: int) -> str:
    return f"{organization_id}:referrer_key:{app_id}"
