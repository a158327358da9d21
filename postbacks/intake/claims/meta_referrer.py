"""Decrypts what Meta puts into the Play store's referrer. Plain Python.

`utm_content` is JSON: `{"source": {"data": hex, "nonce": hex}, "a": app, "t": seconds}`; `data` is
AES-256-GCM with its tag at the end, `nonce` has 12 bytes, the key is the app's in Meta's dashboard.
Meta's older words: a campaign group is a campaign, a campaign an ad set, an ad group an ad.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from postbacks.values.timestamps import parse_timestamp

CONTENT = "utm_content"
_NAMES = {
    "campaign_id": ("campaign_group_id", "campaign_id"),
    "campaign_name": ("campaign_group_name", "campaign_name"),
    "adset_id": ("campaign_id",),
    "adset_name": ("campaign_name",),
    "ad_id": ("ad_id", "adgroup_id"),
    "ad_name": ("adgroup_name",),
    "account_id": ("account_id",),
    "ad_objective_name": ("ad_objective_name",),
}


class _Source(msgspec.Struct):
    data: str
    nonce: str


class _Content(msgspec.Struct):
    source: _Source
    t: int = 0


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted referrer: what only the app's key opens, and when the ad was clicked."""

    data: bytes
    nonce: bytes
    clicked_at: datetime | None


def sealed_in(referrer: Mapping[str, str]) -> Sealed | None:
    """Return what Meta has put into a referrer's parameters; None if it is none of Meta's."""
    try:
        content = msgspec.json.decode(referrer.get(CONTENT, ""), type=_Content)
        data, nonce = bytes.fromhex(content.source.data), bytes.fromhex(content.source.nonce)
        clicked_at = parse_timestamp(content.t)
    except (msgspec.MsgspecError, ValueError):
        return None
    return Sealed(data, nonce, clicked_at)


def opened(sealed: Sealed, key: str) -> dict[str, str] | None:
    """Return the ad by our names of a click's parameters; None where the key does not fit."""
    try:
        plain = AESGCM(bytes.fromhex(key)).decrypt(sealed.nonce, sealed.data, None)
        said = msgspec.json.decode(plain, type=dict[str, object])
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        return None
    found = {
        name: next((str(said[one]) for one in theirs if said.get(one)), "")
        for name, theirs in _NAMES.items()
    }
    return {name: value for name, value in found.items() if value}
