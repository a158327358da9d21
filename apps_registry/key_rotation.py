"""Encrypts every secret again with the first key, so that an older key can be dropped.

Each batch is one transaction: the rotation can be interrupted at any moment and started again.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from django.apps import apps
from django.db import transaction

from apps_registry.audit.audited_model import AuditedQuerySet
from apps_registry.crypto import encryption
from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import Organization
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import tenant

_BATCH = 200
_SECOND_FACTOR_TEXTS = ("secret", "seed", "migrated_codes")  # what allauth encrypts in `data`


@dataclass
class Rotation:
    """Counts of a rotation: secrets resealed, secrets by key id, and those that can't be read."""

    resealed: int = 0
    by_key: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    def reseal(self, stored: str, *, context: str | None, label: str) -> str | None:
        """Return the resealed secret, None if it stays as it is; no context: a second factor."""
        try:
            if context is None:
                fresh = encryption.reseal_second_factor(stored)
            else:
                fresh = encryption.reseal(stored, context=context)
        except SecretUnreadableError as error:
            self.unreadable.append(f"{label}: {error}")
            fresh = None
        self.by_key[encryption.key_id_of(fresh or stored)] += 1
        self.resealed += fresh is not None
        return fresh


def sealed_models() -> list[type[SealedSecret]]:
    return [model for model in apps.get_models() if issubclass(model, SealedSecret)]


def rotate(batch: int = _BATCH) -> Rotation:
    """Reseal all secrets with the first key."""
    rotation = Rotation()
    for organization in Organization.objects.order_by("pk"):
        for model in sealed_models():
            last: int | None = 0
            while last is not None:
                with tenant(organization.pk):
                    last = _rotate_batch(model, organization, rotation, after=last, batch=batch)
    last = 0
    while apps.is_installed("allauth.mfa") and last is not None:
        with transaction.atomic():
            last = _rotate_second_factors(rotation, after=last, batch=batch)
    return rotation


def _rotate_batch(
    model: type[SealedSecret],
    organization: Organization,
    rotation: Rotation,
    *,
    after: int,
    batch: int,
) -> int | None:
    """Reseal the next rows of a model; return the last id, None if there are no more."""
    rows = list(model.objects.select_for_update().filter(pk__gt=after).order_by("pk")[:batch])
    for row in rows:
        label = f"organization “{organization}”, {row.operator_label}"
        fresh = rotation.reseal(row.sealed, context=row.encryption_context, label=label)
        if fresh is not None:
            queryset = cast(AuditedQuerySet, model.objects.filter(pk=row.pk))
            queryset.update_unaudited(sealed=fresh)  # the secret itself did not change
    return rows[-1].pk if rows else None


def _rotate_second_factors(rotation: Rotation, *, after: int, batch: int) -> int | None:
    """Reseal people's authenticators, which belong to no organization."""
    authenticators = apps.get_app_config("mfa").get_model("authenticator")._default_manager
    rows = list(
        authenticators.select_for_update(of=("self",))
        .select_related("user")
        .filter(pk__gt=after)
        .order_by("pk")[:batch]
    )
    for row in rows:
        label = f"{row.user.email}, second factor “{row.type}”"  # type: ignore[attr-defined]  # allauth's
        data: dict[str, object] = row.data  # type: ignore[attr-defined]  # likewise
        fresh = {
            name: _resealed(value, rotation, label) if name in _SECOND_FACTOR_TEXTS else value
            for name, value in data.items()
        }
        if fresh != data:
            authenticators.filter(pk=row.pk).update(data=fresh)
    return rows[-1].pk if rows else None


def _resealed(value: object, rotation: Rotation, label: str) -> object:
    if isinstance(value, list):
        return [_resealed(item, rotation, label) for item in value]
    return rotation.reseal(str(value), context=None, label=label) or value
