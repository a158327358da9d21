"""Decrypts the claim that Meta puts into the Play store's referrer. Plain Python.

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


class _EncryptedAd(msgspec.Struct):
    data: str
    nonce: str


class _Content(msgspec.Struct):
    source: _EncryptedAd
    t: int = 0


@dataclass(frozen=True, slots=True)
class SealedReferrer:
    """An encrypted referrer, which only the app's key opens, and the time of the ad's click."""

    data: bytes
    nonce: bytes
    clicked_at: datetime | None


def find_sealed(referrer: Mapping[str, str]) -> SealedReferrer | None:
    """Return Meta's part of a referrer's parameters; None if the referrer is not Meta's."""
    try:
        content = msgspec.json.decode(referrer.get(CONTENT, ""), type=_Content)
        data, nonce = bytes.fromhex(content.source.data), bytes.fromhex(content.source.nonce)
        clicked_at = parse_timestamp(content.t)
    except (msgspec.MsgspecError, ValueError):
        return None
    return SealedReferrer(data, nonce, clicked_at)


def decrypt(sealed: SealedReferrer, key: str) -> dict[str, str] | None:
    """Return the ad by our names of a click's parameters; None if the key does not fit."""
    try:
        plaintext = AESGCM(bytes.fromhex(key)).decrypt(sealed.nonce, sealed.data, None)
        content = msgspec.json.decode(plaintext, type=dict[str, object])
    except (InvalidTag, ValueError, msgspec.MsgspecError):
        return None
    ad = {
        name: next((str(content[theirs]) for theirs in metas_names if content.get(theirs)), "")
        for name, metas_names in _NAMES.items()
    }
    return {name: value for name, value in ad.items() if value}
