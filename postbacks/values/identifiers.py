"""Identifiers: what touchpoints and installs have in common when they are of one device.

An identifier is a kind and a value, such as `idfv:38400000-8cf0-11bd-b23e-10b96e40000d`. If a
touchpoint and an install share one, they may be of the same device; the waterfall ranks the proof.
The database keeps an identifier as a key of 16 bytes, in one index for all kinds.

An id is read once, where it enters, by `read_id`, and compared in one spelling: UUIDs in small
letters with dashes, other ids as they are written. Older rows have ids in every spelling, and a key
can't be spelled anew, so whatever searches by an id searches by its `spellings`.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from uuid import UUID

from apps_registry.addresses import parse_address
from postbacks.values.placeholders import is_placeholder
from postbacks.values.refusals import quote

# Ids of a device that both ads and apps may know, by the names of the SDK API.
ADVERTISING_IDS = ("idfa", "gaid", "oaid", "amazon_id", "advertising_id")
_ADVERTISING_IDS_ON: Mapping[str, tuple[str, ...]] = {
    "ios": ("idfa",),
    "tv": ("idfa", "gaid", "amazon_id"),
    "android": ("gaid", "oaid", "amazon_id"),
    "amazon": ("amazon_id", "gaid"),
}
_ADVERTISING_IDS_ANYWHERE = ("idfa", "gaid", "amazon_id", "oaid")
VENDOR_IDS = ("idfv", "app_set_id", "android_id")
# Ids that an app's SDK makes at the install: only the app itself knows them.
OWN_IDS = ("install_id", "web_id")
# All that last as long as the device, or its app, does.
LASTING_IDS = (*ADVERTISING_IDS, *VENDOR_IDS, *OWN_IDS)

TOUCH = "touch"  # our own id of a touchpoint
CLICK_ID = "click_id"  # the network's id of a click
ADDRESS = "ip"
ADVERTISING = "advertising"  # the kind that all advertising ids share
HASHES = ("sha1", "md5")
DIGESTS = {32: "md5", 40: "sha1", 64: "sha256"}  # by their hexadecimal digits
OF_ONE_CLICK = frozenset({TOUCH, CLICK_ID})  # they name the click itself
OF_DEVICES = frozenset({ADVERTISING, *HASHES, *VENDOR_IDS})  # networks name devices by them

AS_WRITTEN = "as_written"  # a field of events: the ids that were written in an odd way, by kind
LEFT_OUT_IDS = "left_out_ids"  # a field of events: what stood in place of ids, by kind
_NO_IDS: Mapping[str, object] = MappingProxyType({})

_UUID_KINDS = frozenset({ADVERTISING, *ADVERTISING_IDS, "idfv", "app_set_id", *OWN_IDS})
_ALWAYS_UUIDS = frozenset({"idfa", "gaid", "amazon_id"})
_APPLES = frozenset({"idfa", "idfv", "advertising_id"})
_CANONICAL = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
# In braces as Windows writes it, as a URN, in quotes, or without dashes.
_UUID = re.compile(
    r"""(?:urn:uuid:)?[{("']?([0-9a-f]{8})-?([0-9a-f]{4})-?([0-9a-f]{4})-?([0-9a-f]{4})"""
    r"""-?([0-9a-f]{12})[)}"']?""",
    re.IGNORECASE,
)
_LENGTH_OF_PLAIN_UUID = 32
_LENGTH_OF_UUID = 36
_HEX = re.compile(r"[0-9a-f]+", re.IGNORECASE)
_HEX_IDS = {"oaid": 16, "advertising_id": 16, "android_id": 14}  # the fewest digits of such ids
_NAMES = {
    "idfa": "IDFA",
    "idfv": "IDFV",
    "gaid": "Google advertising ID",
    "oaid": "OAID",
    "amazon_id": "Fire advertising ID",
    "advertising_id": "advertising ID",
    "app_set_id": "app set ID",
    "android_id": "Android ID",
}
_NO_UUID_KINDS = _NAMES.keys() - _UUID_KINDS  # of which a UUID would be odd
_HASH = {"sha1": re.compile(r"[0-9a-f]{40}"), "md5": re.compile(r"[0-9a-f]{32}")}


_ALGORITHMS = (hashlib.md5, hashlib.sha1, hashlib.sha256)
_NO_UUIDS = frozenset({str(UUID(int=0)), str(UUID(int=2**128 - 1))})
_CAPITALS = re.compile(r"[0-9A-F]{8}-(?:[0-9A-F]{4}-){3}[0-9A-F]{12}")


def advertising_ids_on(platform: str) -> tuple[str, ...]:
    """Return the names that a platform's advertising id may have, best first."""
    return _ADVERTISING_IDS_ON.get(platform, _ADVERTISING_IDS_ANYWHERE)


def read_id(kind: str, value: str) -> str:
    """Return an id in the form in which it is kept and sent; empty if the value is none.

    Ids that may be Apple's keep Apple's capitals, which partners expect and hash.
    """
    if is_spelled_well(kind, value):
        return value
    if is_placeholder(value):
        return ""
    normalized = normalize_id(kind, value)
    return value if kind in _APPLES and value == normalized.upper() else normalized


def is_spelled_well(kind: str, value: str) -> bool:
    """Tell whether an id is a UUID as we keep it, as nearly all are: nothing is to be said of it.

    False may mean both.
    """
    if len(value) != _LENGTH_OF_UUID or kind in _NO_UUID_KINDS:
        return False
    if kind in _APPLES and _CAPITALS.fullmatch(value):
        return value.lower() not in _NO_UUIDS
    return _CANONICAL.fullmatch(value) is not None and value not in _NO_UUIDS


def is_canonical_uuid(value: str) -> bool:
    """Tell whether a text is a UUID in small letters with dashes."""
    return _CANONICAL.fullmatch(value) is not None


def normalize_id(kind: str, value: str) -> str:
    """Return an id in its one spelling: a UUID in small letters with dashes, else as written."""
    if len(value) < _LENGTH_OF_PLAIN_UUID or kind not in _UUID_KINDS or _CANONICAL.fullmatch(value):
        return value
    match = _UUID.fullmatch(value.strip())
    return "-".join(match.groups()).lower() if match else value


def is_malformed(kind: str, value: str) -> bool:
    """Tell whether an advertising id has a form that no device makes; zeros are no id at all."""
    return _is_malformed(kind, value) and not is_placeholder(value)


def why_odd(kind: str, value: str) -> str:
    """Return why an id can hardly be a device's: no form of its kind, and no digest; else "".

    Such an id is kept all the same: what a platform makes tomorrow is not known today.
    """
    if kind not in _NAMES:
        return ""
    is_uuid_kind = kind in _UUID_KINDS
    if is_uuid_kind and _CANONICAL.fullmatch(value.lower()):  # as nearly all are
        return ""
    text = value.strip()
    if is_uuid_kind and _UUID.fullmatch(text):
        return ""
    if _HEX.fullmatch(text) and (
        len(text) in DIGESTS or len(text) >= _HEX_IDS.get(kind, len(text) + 1)
    ):
        return ""
    use = "names no device" if kind in _ALWAYS_UUIDS else "may name no device"
    form = "16 hexadecimal digits" if kind == "android_id" else "a UUID"
    return (
        f"{quote(text)} does not look like its kind ({_NAMES[kind]}) and {use}. It was kept; send "
        f"{form}."
    )


def identifiers_of(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield the identifier of each id in `ids`, which has the SDK API's field names.

    All advertising ids share one kind: a link's `advertising_id` is the SDK's `gaid`.
    """
    for kind in LASTING_IDS:
        value = ids.get(kind)
        if isinstance(value, str) and _is_of_a_device(kind, value):
            yield identifier(shared_kind(kind), value)


def installation_identifiers(ids: Mapping[str, object]) -> frozenset[str]:
    """Return the identifiers of this installation alone; without any, those of its device."""
    own = {kind: ids.get(kind) for kind in OWN_IDS}
    return frozenset(identifiers_of(own)) or frozenset(identifiers_of(ids))


def hashed_identifiers(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield hashes that networks send instead of ids: of the id in lower and upper case."""
    for kind in (*ADVERTISING_IDS, *VENDOR_IDS):
        value = ids.get(kind)
        if isinstance(value, str) and _is_of_a_device(kind, value):
            yield from _hashes_of(normalize_id(kind, value).strip())


def former_identifiers(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield what rows may have of ids that are spelled otherwise, and of their hashes."""
    yield from written_identifiers(ids)
    for kind in LASTING_IDS:
        value = ids.get(kind)
        if isinstance(value, str) and _is_of_a_device(kind, value):
            normalized = normalize_id(kind, value)
            plain = normalized.replace("-", "")
            yield from spellings(identifier(shared_kind(kind), normalized))[1:]
            if is_irregular(value, normalized):  # in an event that was stored so
                yield written_identifier(kind, value)
            if kind not in OWN_IDS and _UUID.fullmatch(plain):
                yield from _hashes_of(plain)


def written_identifiers(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield the identifiers of ids as they were written, where no spelling of ours is so."""
    return (written_identifier(kind, value) for kind, value in _as_written(ids))


def written_identifier(kind: str, value: str) -> str:
    text = value.strip()
    return f"{shared_kind(kind)}:{text if kind in OWN_IDS else text.lower()}"


def search_digests(kind: str, value: str) -> list[int]:
    """Return the numbers by which an id is searched: its own, and those of its digests.

    Digests are of the id in every spelling that networks hash: a UUID with and without dashes, in
    small and in capital letters; another id as it is written, and in small letters.
    """
    text = normalize_id(kind, value).strip()
    forms = [text, text.lower()]
    if _CANONICAL.fullmatch(text.lower()):
        lower, plain = text.lower(), text.lower().replace("-", "")
        forms = [lower, lower.upper(), plain, plain.upper()]
    encoded = [form.encode() for form in dict.fromkeys(forms)]
    return [
        _own_number(text),
        *(
            _number_of(algorithm(form, usedforsecurity=False).digest())
            for form in encoded
            for algorithm in _ALGORITHMS
        ),
    ]


def searched_numbers(text: str) -> dict[int, str]:
    """Return the numbers that `search_digests` may have of what a text is, with the algorithm.

    The algorithm is empty for the id itself.
    """
    text = text.strip()
    numbers = {_own_number(normalize_id(kind, text).strip()): "" for kind in ("gaid", "android_id")}
    if len(text) in DIGESTS and _HEX.fullmatch(text):
        numbers[_number_of(bytes.fromhex(text))] = DIGESTS[len(text)]
    return numbers


def digest_name(text: str) -> str:
    """Return by which algorithm a text may be a digest; empty if by none."""
    text = text.strip()
    return DIGESTS.get(len(text), "") if _HEX.fullmatch(text) else ""


def hash_identifier(value: str) -> str | None:
    """Return the identifier of a hash that was sent instead of an id; None if it is none."""
    text = value.strip().lower()
    for kind, form in _HASH.items():
        if form.fullmatch(text):
            return f"{kind}:{text}"
    return None


def identifier(kind: str, value: str) -> str:
    """Return an identifier in the form in which it is compared."""
    text = normalize_id(kind, value).strip()
    return f"{kind}:{text if kind in {CLICK_ID, *OWN_IDS} else text.lower()}"


def address_identifier(address: str) -> str | None:
    """Return the identifier of a whole IPv4 address, or of an IPv6 network of 64 bits."""
    parsed = parse_address(address)
    if parsed is None:
        return None
    return f"{ADDRESS}:{parsed}" if parsed.version == 4 else f"{ADDRESS}:{int(parsed) >> 64:x}"


def kind_of(identifier: str) -> str:
    """Return the kind of an identifier, for example `sha1`."""
    return identifier.partition(":")[0]


def key_of(app_id: int, identifier: str) -> UUID:
    """Return the key that stands for an identifier of an app in the database."""
    return UUID(key_text(app_id, identifier))


def key_text(app_id: int, identifier: str) -> str:
    """Return the same key as digits, for a statement."""
    return hashlib.blake2b(f"{app_id}:{identifier}".encode(), digest_size=16).hexdigest()


def keys_of(app_id: int, identifiers: Iterable[str]) -> dict[UUID, str]:
    """Return identifiers by their keys."""
    return {key_of(app_id, identifier): identifier for identifier in identifiers}


def shared_kind(kind: str) -> str:
    """Return the kind under which an id is compared: all advertising ids share one."""
    return ADVERTISING if kind in ADVERTISING_IDS else kind


def device_key(kind: str, value: str) -> str:
    """Return the `device` of an event whose best id is this one."""
    text = normalize_id(kind, value)
    return f"{shared_kind(kind)}:{text.lower() if kind in ADVERTISING_IDS else text}"


def normalize_device(device: str) -> str:
    """Return a `device` in the spelling that events have now."""
    kind, _, value = device.partition(":")
    return f"{kind}:{normalize_id(kind, value)}"


def spellings(identifier: str) -> tuple[str, ...]:
    """Return an identifier and the other spellings under which it may be stored, itself first."""
    kind, _, value = identifier.partition(":")
    if kind not in _UUID_KINDS or not _CANONICAL.fullmatch(value):
        return (identifier,)
    plain = f"{kind}:{value.replace('-', '')}"
    if kind not in OWN_IDS:  # compared without regard to case, then as now
        return identifier, plain
    return identifier, plain, f"{kind}:{value.upper()}", f"{kind}:{value.replace('-', '').upper()}"


def device_spellings(device: str, ids: Mapping[str, object] = _NO_IDS) -> tuple[str, ...]:
    """Return the spellings that rows may have of a `device`, today's first.

    `ids` are those of its event; they may hold one as it was written.
    """
    kind, _, text = device.partition(":")
    value = normalize_id(kind, text)
    if kind not in _UUID_KINDS or not _CANONICAL.fullmatch(value):
        return (device,)
    plain = value.replace("-", "")
    forms = [value, text, plain]
    if kind != ADVERTISING:
        forms += [value.upper(), plain.upper()]
    if AS_WRITTEN in ids:
        written = (other for other in _as_written(ids) if shared_kind(other[0]) == kind)
        forms += [form.lower() if kind == ADVERTISING else form for _, form in written]
    return tuple(f"{kind}:{form}" for form in dict.fromkeys(forms))


def install_id_spellings(value: str) -> list[str]:
    """Return an `install_id` and the other spellings that rows may have of it."""
    devices = device_spellings(f"install_id:{value}")
    return [device.partition(":")[2] for device in devices]


def is_irregular(value: str, normalized: str) -> bool:
    """Tell whether an id is written as `spellings` does not expect, such as in mixed case."""
    plain = normalized.replace("-", "")
    return value not in {normalized, normalized.upper(), plain, plain.upper()}


def _as_written(ids: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    written = ids.get(AS_WRITTEN)
    if isinstance(written, Mapping):
        yield from ((str(kind), str(value)) for kind, value in written.items())


def _is_of_a_device(kind: str, value: str) -> bool:
    if is_spelled_well(kind, value):
        return True
    return not (is_placeholder(value) or _is_malformed(kind, value))


def _is_malformed(kind: str, value: str) -> bool:
    return kind in _ALWAYS_UUIDS and _UUID.fullmatch(value.strip()) is None


def _own_number(text: str) -> int:
    return _number_of(hashlib.blake2b(text.lower().encode(), digest_size=8).digest())


def _number_of(digest: bytes) -> int:
    return int.from_bytes(digest[:8], signed=True)


def _hashes_of(text: str) -> Iterator[str]:
    for form in {text.lower(), text.upper()}:
        for algorithm in HASHES:
            digest = hashlib.new(algorithm, form.encode(), usedforsecurity=False)
            yield f"{algorithm}:{digest.hexdigest()}"
