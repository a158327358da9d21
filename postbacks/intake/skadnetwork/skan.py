"""Reads and verifies SKAdNetwork's copies, versions 1.0 to 4.0. Plain Python.

Source of the order of signed fields: Apple's pages on combining parameters for SKAdNetwork
postbacks. Conversion values are never signed.
"""

import base64
import binascii
from collections.abc import Mapping

from postbacks.intake.skadnetwork import apple_values
from postbacks.intake.skadnetwork.apple_values import coarse_value, country, fine_value
from postbacks.intake.skadnetwork.copies import SKADNETWORK, AdType, Copy
from postbacks.intake.skadnetwork.signatures import APPLE, AppleKeys, CopySignature, is_signed_with

SEPARATOR = "\u2063"
_FIRST = "1.0"  # its copies name no version

_SINCE_2_0 = (
    *("version", "ad-network-id", "campaign-id", "app-id", "transaction-id", "redownload"),
    "source-app-id",
)
_SIGNED = {
    _FIRST: ("ad-network-id", "campaign-id", "app-id", "transaction-id"),
    "2.0": _SINCE_2_0,
    "2.1": _SINCE_2_0,
    "2.2": (*_SINCE_2_0, "fidelity-type"),
    "3.0": (*_SINCE_2_0, "fidelity-type", "did-win"),
    "4.0": (
        *("version", "ad-network-id", "source-identifier", "app-id", "transaction-id"),
        *("redownload", "source-app-id", "source-domain", "fidelity-type", "did-win"),
        "postback-sequence-index",
    ),
}
_OPTIONAL = {"source-app-id", "source-domain"}
_WITH_OLD_KEY = {_FIRST, "2.0"}
_ALL = frozenset(name for names in _SIGNED.values() for name in names)

_AD_TYPES = {"0": AdType.VIEW, "1": AdType.CLICK}


def read_skan(body: Mapping[str, object], *, keys: AppleKeys = APPLE) -> Copy:
    """Return a copy and the state of its signature."""
    version = apple_values.text(body.get("version")) or _FIRST
    names = _SIGNED.get(version, _ALL)
    signed = {name: body[name] for name in names if body.get(name) is not None}
    state, remark = _verify(
        version, signed, apple_values.text(body.get("attribution-signature")), keys
    )
    return Copy(
        protocol=SKADNETWORK,
        version=apple_values.stored_text(version),
        signature_state=state,
        remark=remark,
        store_id=apple_values.store_id(signed.get("app-id")),
        network_id=apple_values.stored_text(signed.get("ad-network-id")),
        transaction_id=apple_values.stored_text(signed.get("transaction-id")),
        sequence=apple_values.integer(signed.get("postback-sequence-index"), maximum=2) or 0,
        campaign_id=apple_values.stored_text(signed.get("campaign-id")),
        source_identifier=apple_values.stored_text(signed.get("source-identifier")),
        source_app_id=apple_values.stored_text(signed.get("source-app-id")),
        source_domain=apple_values.stored_text(signed.get("source-domain")),
        conversion_type=_conversion_type(signed.get("redownload")),
        ad_type=_AD_TYPES.get(apple_values.text(signed.get("fidelity-type")), ""),
        redownload=apple_values.boolean(signed.get("redownload")),
        did_win=apple_values.boolean(signed.get("did-win")),
        conversion_value=fine_value(body),
        coarse_value=coarse_value(body),
        country=country(body),
        signature=apple_values.clean(apple_values.text(body.get("attribution-signature"))),
    )


def _verify(
    version: str, signed: Mapping[str, object], signature: str, keys: AppleKeys
) -> tuple[CopySignature, str]:
    if not signature:
        return CopySignature.UNVERIFIABLE, "The copy has no signature."
    if version not in _SIGNED:
        return CopySignature.UNVERIFIABLE, "The order of this version's fields is not known to us."
    if problem := _problem(version, signed):
        return CopySignature.INVALID, problem
    try:
        decoded = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return CopySignature.INVALID, "The signature is not base64."
    key = keys.old if version in _WITH_OLD_KEY else keys.new
    if not is_signed_with(key, decoded, signed_text(version, signed).encode(errors="replace")):
        return CopySignature.INVALID, "The signature does not fit the signed fields."
    if apple_values.text(signed.get("source-app-id")) == "0":  # a test's ad names no app
        return CopySignature.DEVELOPMENT, "The ad was a test: its source app is 0."
    return CopySignature.VALID, ""


def _problem(version: str, signed: Mapping[str, object]) -> str:
    missing = [name for name in _SIGNED[version] if name not in signed and name not in _OPTIONAL]
    if missing:
        return f"The signed field {missing[0]} is missing."
    if signed.keys() >= _OPTIONAL:  # only one of them would be signed
        return "It names a source app and a source domain; only one can be."
    for name, value in signed.items():
        # A separator inside a value could move text from one field to its neighbor.
        if SEPARATOR in apple_values.text(value) or not apple_values.text(value):
            return f"The signed field {name} can't be what it says."
    return ""


def signed_text(version: str, signed: Mapping[str, object]) -> str:
    return SEPARATOR.join(
        apple_values.text(signed[name]) for name in _SIGNED[version] if name in signed
    )


def _conversion_type(redownload: object) -> str:
    names = {True: "redownload", False: "download"}
    value = apple_values.boolean(redownload)
    return "" if value is None else names[value]
