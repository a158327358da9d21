"""Seals every secret anew with the first key, so that an older key can be thrown away.

Each batch is one transaction and is done once it is sealed, so that the work may be interrupted
at any moment and started again.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import cast

from django.apps import apps
from django.db import transaction

from apps_registry.audit.recorded_model import RecordedQuerySet
from apps_registry.crypto import encryption
from apps_registry.crypto.encryption import SecretUnreadableError
from apps_registry.models import Organization
from apps_registry.models.sealed import SealedSecret
from apps_registry.tenancy import tenant

_BATCH = 200
_SECOND_FACTOR_TEXTS = ("secret", "seed", "migrated_codes")  # what allauth encrypts in `data`


@dataclass
class Rotation:
    """What was done: how many secrets were sealed anew, and what names which key still."""

    resealed: int = 0
    by_key: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    def reseal(self, stored: str, *, place: str | None, described: str) -> str | None:
        """Return a secret as it is to be stored from now on, None if it stays as it is."""
        try:
            if place is None:
                fresh = encryption.reseal_second_factor(stored)
            else:
                fresh = encryption.reseal(stored, place=place)
        except SecretUnreadableError as error:
            self.unreadable.append(f"{described}: {error}")
            fresh = None
        self.by_key[encryption.key_of(fresh or stored)] += 1
        self.resealed += fresh is not None
        return fresh


def sealed_models() -> list[type[SealedSecret]]:
    """Return every model whose rows hold a secret."""
    return [model for model in apps.get_models() if issubclass(model, SealedSecret)]


def rotate(batch: int = _BATCH) -> Rotation:
    """Seal all secrets with the first key."""
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
    """Seal some rows of a model; return the last one's id, None if there are no more."""
    rows = list(model.objects.select_for_update().filter(pk__gt=after).order_by("pk")[:batch])
    for row in rows:
        described = f"organization “{organization}”, {row.described}"
        fresh = rotation.reseal(row.sealed, place=row.place, described=described)
        if fresh is not None:
            rows_of_it = cast(RecordedQuerySet, model.objects.filter(pk=row.pk))
            rows_of_it.update_unrecorded(sealed=fresh)  # nobody set the secret
    return rows[-1].pk if rows else None


def _rotate_second_factors(rotation: Rotation, *, after: int, batch: int) -> int | None:
    """Seal what people's authenticators keep; they belong to no organization."""
    authenticators = apps.get_app_config("mfa").get_model("authenticator")._default_manager
    rows = list(
        authenticators.select_for_update(of=("self",))
        .select_related("user")
        .filter(pk__gt=after)
        .order_by("pk")[:batch]
    )
    for row in rows:
        described = f"{row.user.email}, second factor “{row.type}”"  # type: ignore[attr-defined]  # allauth's
        data: dict[str, object] = row.data  # type: ignore[attr-defined]  # likewise
        fresh = {
            name: _resealed(value, rotation, described) if name in _SECOND_FACTOR_TEXTS else value
            for name, value in data.items()
        }
        if fresh != data:
            authenticators.filter(pk=row.pk).update(data=fresh)
    return rows[-1].pk if rows else None


def _resealed(value: object, rotation: Rotation, described: str) -> object:
    if isinstance(value, list):
        return [_resealed(one, rotation, described) for one in value]
    return rotation.reseal(str(value), place=None, described=described) or value
