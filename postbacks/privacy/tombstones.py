"""Blocks data of forgotten devices, without keeping their ids.

A keyed digest is stored of each identifier of a forgotten device. The key is random, one for each
organization, and encrypted: a copy of the database does not reveal which devices were forgotten.
Rotating FIELD_ENCRYPTION_KEYS encrypts the key again (`manage.py rotate_encryption_keys`) and
leaves the digests valid. Losing those keys loses the tombstones, as it loses every secret.
"""

import base64
import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from apps_registry.crypto import encryption
from apps_registry.tenancy import current_organization
from postbacks.infrastructure.database import prepared
from postbacks.models import ErasureTombstone, TombstoneKey
from postbacks.models.erasures import tombstone_key_context
from postbacks.values import identifiers
from postbacks.values.placeholders import is_placeholder

CUSTOMER = "customer_user_id"
# Every id by which a request may name a device, the best first.
ID_KINDS = (
    *identifiers.OWN_IDS,
    *identifiers.ADVERTISING_IDS,
    *identifiers.VENDOR_IDS,
    CUSTOMER,
)
_CASE_SENSITIVE = frozenset({*identifiers.OWN_IDS, CUSTOMER})
_TRANSIENT = identifiers.OF_ONE_CLICK | {identifiers.ADDRESS}

_FIND_KEY = "SELECT sealed FROM tombstone_key WHERE organization_id = %(organization)s"

_cached_keys: dict[int, bytes] = {}  # a key never changes; a missing one may appear any moment


def identifiers_by_kind(ids: Mapping[str, object]) -> dict[str, str]:
    """Return the identifier of each id among an event's fields, malformed ones included."""
    return {
        kind: id_identifier(kind, value)
        for kind in ID_KINDS
        if isinstance(value := ids.get(kind), str) and not is_placeholder(value)
    }


def id_identifier(kind: str, value: str) -> str:
    """Return the identifier of one id; all advertising ids share one kind."""
    text = identifiers.normalize_id(kind, value).strip()
    return f"{identifiers.shared_kind(kind)}:{text if kind in _CASE_SENSITIVE else text.lower()}"


def digests(key: bytes, app_id: int, checked: Iterable[str]) -> dict[str, str]:
    """Return lasting identifiers by the digests of all their spellings.

    Older tombstones have the spelling of their request.
    """
    return {
        str(digest(key, app_id, spelling)): identifier
        for identifier in checked
        if identifiers.kind_of(identifier) not in _TRANSIENT
        for spelling in identifiers.spellings(identifier)
    }


def known_key(organization_id: int) -> bytes | None:
    """Return an organization's key if this process has seen it; costs no query."""
    return _cached_keys.get(organization_id)


def block_device(app_id: int, ids: Iterable[tuple[str, str]]) -> None:
    """Block data with one of these ids, or with a hash of it, in the current tenant."""
    key = ensure_key()
    blocked = {identifier for id_ in ids for identifier in _identifiers(*id_)}
    rows = [ErasureTombstone(app_id=app_id, digest=digest(key, app_id, i)) for i in blocked]
    for row in rows:
        row.organization_id = current_organization() or 0
    ErasureTombstone.objects.bulk_create(rows, ignore_conflicts=True)


def ensure_key() -> bytes:
    """Return the current organization's key; create it if there is none."""
    organization_id = current_organization() or 0
    # Not cached: this transaction may have created it, and may still be rolled back.
    if (key := find_key(organization_id, cache=False)) is not None:
        return key
    fresh = TombstoneKey(organization_id=organization_id)
    fresh.seal(base64.b64encode(secrets.token_bytes(32)).decode())
    fresh.ending = ""
    TombstoneKey.objects.bulk_create([fresh], ignore_conflicts=True)  # the first of two stays
    key = find_key(organization_id, cache=False)
    if key is None:
        raise RuntimeError("The key of forgotten devices was not stored.")
    return key


def digest(key: bytes, app_id: int, text: str) -> UUID:
    """Return a keyed digest of an identifier, different in each app."""
    hashed = hashlib.blake2b(f"{app_id}:{text}".encode(), key=key, digest_size=16)
    return UUID(bytes=hashed.digest())


def _identifiers(kind: str, value: str) -> Iterator[str]:
    yield id_identifier(kind, value)
    if kind != CUSTOMER:
        yield from identifiers.hashed_identifiers({kind: value})
        yield from identifiers.former_identifiers({kind: value})


def find_key(organization_id: int, *, cache: bool = True) -> bytes | None:
    """Return an organization's key, inside its tenant; None while no device was ever forgotten."""
    if (cached := _cached_keys.get(organization_id)) is not None:
        return cached
    rows = prepared.run(_FIND_KEY, {"organization": organization_id})
    if not rows:
        return None
    context = tombstone_key_context(organization_id)
    key = base64.b64decode(encryption.decrypt(rows[0][0], context=context))
    if cache:
        _cached_keys[organization_id] = key
    return key
