"""Identifiers: what touchpoints and installs have in common when they are of one device.

An identifier is a kind and a value, such as `idfv:38400000-8cf0-11bd-b23e-10b96e40000d`. If a
touchpoint and an install share one, they may be of the same device; the waterfall ranks the proof.
The database keeps an identifier as a key of 16 bytes, in one index for all kinds.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from apps_registry.addresses import parse_address

# Ids of a device that both ads and apps may know, by the names of the SDK API.
ADVERTISING_IDS = ("idfa", "gaid", "oaid", "amazon_id", "advertising_id")
VENDOR_IDS = ("idfv", "app_set_id", "android_id")
# Ids that an app's SDK makes at the install: only the app itself knows them.
OWN_IDS = ("install_id", "web_id")

TOUCH = "touch"  # our own id of a touchpoint
CLICK_ID = "click_id"  # the network's id of a click
ADDRESS = "ip"
ADVERTISING = "advertising"  # the kind that all advertising ids share
HASHES = ("sha1", "md5")

_ONLY_ZEROS = re.compile(r"[0-]*")
_UUID = re.compile(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}")
# Values that are the same for everybody: {click_id}, %%CLICKID%%, null.
_PLACEHOLDER = re.compile(r"[{\[<%$(].*|[0-]*|null|nil|none|undefined|unknown|n/?a", re.I | re.S)
_HASH = {"sha1": re.compile(r"[0-9a-f]{40}"), "md5": re.compile(r"[0-9a-f]{32}")}


def is_no_id(value: str) -> bool:
    """Tell whether an id is the zeros that devices send instead of one."""
    return not _ONLY_ZEROS.sub("", value.strip())


def is_malformed(kind: str, value: str) -> bool:
    """Tell whether an advertising id has a form that no device makes; zeros are no id at all."""
    if kind not in {"idfa", "gaid", "amazon_id"} or is_no_id(value):
        return False
    return _UUID.fullmatch(value.strip().lower()) is None


def is_placeholder(value: str) -> bool:
    """Tell whether a value is a word or an unfilled macro in place of an id."""
    return _PLACEHOLDER.fullmatch(value.strip()) is not None


def identifiers_of(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield the identifier of each id in `ids`, which has the SDK API's field names.

    All advertising ids share one kind: a link's `advertising_id` is the SDK's `gaid`.
    """
    for kind in (*ADVERTISING_IDS, *VENDOR_IDS, *OWN_IDS):
        value = ids.get(kind)
        if isinstance(value, str) and not is_no_id(value) and not is_malformed(kind, value):
            yield identifier(shared_kind(kind), value)


def installation_identifiers(ids: Mapping[str, object]) -> frozenset[str]:
    """Return the identifiers of this installation alone; without any, those of its device."""
    own = {kind: ids.get(kind) for kind in OWN_IDS}
    return frozenset(identifiers_of(own)) or frozenset(identifiers_of(ids))


def hashed_identifiers(ids: Mapping[str, object]) -> Iterator[str]:
    """Yield hashes that networks send instead of ids: of the id in lower and upper case."""
    for kind in (*ADVERTISING_IDS, *VENDOR_IDS):
        value = ids.get(kind)
        if isinstance(value, str) and not is_no_id(value) and not is_malformed(kind, value):
            for form in {value.strip().lower(), value.strip().upper()}:
                for algorithm in HASHES:
                    digest = hashlib.new(algorithm, form.encode(), usedforsecurity=False)
                    yield f"{algorithm}:{digest.hexdigest()}"


def hash_identifier(value: str) -> str | None:
    """Return the identifier of a hash that was sent instead of an id; None if it is none."""
    text = value.strip().lower()
    for kind, form in _HASH.items():
        if form.fullmatch(text):
            return f"{kind}:{text}"
    return None


def identifier(kind: str, value: str) -> str:
    """Return an identifier in the form in which it is compared."""
    text = value.strip()
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
    digest = hashlib.blake2b(f"{app_id}:{identifier}".encode(), digest_size=16)
    return UUID(bytes=digest.digest())


def keys_of(app_id: int, identifiers: Iterable[str]) -> dict[UUID, str]:
    """Return identifiers by their keys."""
    return {key_of(app_id, identifier): identifier for identifier in identifiers}


def shared_kind(kind: str) -> str:
    """Return the kind under which an id is compared: all advertising ids share one."""
    return ADVERTISING if kind in ADVERTISING_IDS else kind


def device_key(kind: str, value: str) -> str:
    """Return the `device` of an event whose best id is this one."""
    return f"{shared_kind(kind)}:{value.lower() if kind in ADVERTISING_IDS else value}"
