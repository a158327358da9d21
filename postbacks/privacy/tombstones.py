"""Refuses data of devices that were forgotten, without keeping who they were.

Of each name of a forgotten device a keyed digest is stored. The key is random, one for each
organization, and kept encrypted: a copy of the database tells nobody whose device was forgotten,
and rotating FIELD_ENCRYPTION_KEYS seals the key anew (`manage.py rotate_encryption_keys`) and
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

CUSTOMER = "customer_user_id"
# Every id by which a device may be named, in the order in which we prefer them.
ID_KINDS = (
    *identifiers.OWN_IDS, *identifiers.ADVERTISING_IDS, *identifiers.VENDOR_IDS, CUSTOMER,
)  # fmt: skip
_CASE_SENSITIVE = frozenset({*identifiers.OWN_IDS, CUSTOMER})
_OF_A_MOMENT = frozenset({identifiers.TOUCH, identifiers.CLICK_ID, identifiers.ADDRESS})

_FIND_KEY = "SELECT sealed FROM tombstone_key WHERE organization_id = %(organization)s"
_FIND = """
SELECT digest FROM erasure_tombstone
WHERE organization_id = %(organization)s AND app_id = %(app)s AND digest = ANY(%(digests)s::uuid[])
"""

_known_keys: dict[int, bytes] = {}  # a key never changes; that there is none may change any moment


def names_by_kind(ids: Mapping[str, object]) -> dict[str, str]:
    """Return the name of each id among an event's fields, also of what is no proper id."""
    return {
        kind: id_name(kind, value)
        for kind in ID_KINDS
        if isinstance(value := ids.get(kind), str) and not identifiers.is_no_id(value)
    }


def id_name(kind: str, value: str) -> str:
    """Return the name of one id; all advertising ids share one kind."""
    text = value.strip()
    return f"{identifiers.shared_kind(kind)}:{text if kind in _CASE_SENSITIVE else text.lower()}"


def blocked_identifiers(organization_id: int, app_id: int, names: Iterable[str]) -> set[str]:
    """Return which of these names belong to forgotten devices, inside the organization's tenant.

    One indexed query: where nobody was ever forgotten it asks for the key, afterwards for digests.
    """
    wanted = {name for name in names if identifiers.kind_of(name) not in _OF_A_MOMENT}
    key = _key(organization_id) if wanted else None
    if key is None:
        return set()
    by_digest = {digest(key, app_id, name): name for name in wanted}
    rows = prepared.run(
        _FIND, {"organization": organization_id, "app": app_id, "digests": list(by_digest)}
    )
    return {by_digest[found] for (found,) in rows}


def block_device(app_id: int, ids: Iterable[tuple[str, str]]) -> None:
    """Refuse from now on what carries one of these ids, or a hash of it, in the current tenant."""
    key = ensure_key()
    names = {name for kind, value in ids for name in _names(kind, value)}
    rows = [ErasureTombstone(app_id=app_id, digest=digest(key, app_id, name)) for name in names]
    for row in rows:
        row.organization_id = current_organization() or 0
    ErasureTombstone.objects.bulk_create(rows, ignore_conflicts=True)


def ensure_key() -> bytes:
    """Return the current organization's key, making it if there is none."""
    organization_id = current_organization() or 0
    # Not remembered: this transaction may have made it, and may still be rolled back.
    if (key := _key(organization_id, remember=False)) is not None:
        return key
    fresh = TombstoneKey(organization_id=organization_id)
    fresh.seal(base64.b64encode(secrets.token_bytes(32)).decode())
    fresh.ending = ""
    TombstoneKey.objects.bulk_create([fresh], ignore_conflicts=True)  # the first of two stays
    key = _key(organization_id, remember=False)
    if key is None:
        raise RuntimeError("The key of forgotten devices was not stored.")
    return key


def digest(key: bytes, app_id: int, text: str) -> UUID:
    """Return a keyed digest of a name, different in each app."""
    hashed = hashlib.blake2b(f"{app_id}:{text}".encode(), key=key, digest_size=16)
    return UUID(bytes=hashed.digest())


def _names(kind: str, value: str) -> Iterator[str]:
    yield id_name(kind, value)
    if kind != CUSTOMER:
        yield from identifiers.hashed_identifiers({kind: value})


def _key(organization_id: int, *, remember: bool = True) -> bytes | None:
    if (known := _known_keys.get(organization_id)) is not None:
        return known
    rows = prepared.run(_FIND_KEY, {"organization": organization_id})
    if not rows:
        return None
    context = tombstone_key_context(organization_id)
    key = base64.b64decode(encryption.decrypt(rows[0][0], context=context))
    if remember:
        _known_keys[organization_id] = key
    return key
