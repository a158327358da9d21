"""Reads and verifies SKAdNetwork's copies, versions 1.0 to 4.0. Plain Python.

The order of the signed fields is the one of Apple's pages on combining parameters for SKAdNetwork
postbacks; conversion values are never signed.
"""

import base64
import binascii
from collections.abc import Mapping

from postbacks.intake.skadnetwork import wild
from postbacks.intake.skadnetwork.conversion import coarse_value, country, fine_value
from postbacks.intake.skadnetwork.copies import SKADNETWORK, Copy
from postbacks.intake.skadnetwork.signatures import APPLE, Keys, Signature, is_signed_with

SEPARATOR = "\u2063"
_FIRST = "1.0"  # says no version

_SINCE_2_0 = (
    "version", "ad-network-id", "campaign-id", "app-id", "transaction-id", "redownload",
    "source-app-id",
)  # fmt: skip
_SIGNED = {
    _FIRST: ("ad-network-id", "campaign-id", "app-id", "transaction-id"),
    "2.0": _SINCE_2_0,
    "2.1": _SINCE_2_0,
    "2.2": (*_SINCE_2_0, "fidelity-type"),
    "3.0": (*_SINCE_2_0, "fidelity-type", "did-win"),
    "4.0": (
        "version", "ad-network-id", "source-identifier", "app-id", "transaction-id", "redownload",
        "source-app-id", "source-domain", "fidelity-type", "did-win", "postback-sequence-index",
    ),
}  # fmt: skip
_OPTIONAL = {"source-app-id", "source-domain"}
_WITH_OLD_KEY = {_FIRST, "2.0"}
_ALL = frozenset(name for names in _SIGNED.values() for name in names)

_AD_TYPES = {"0": "view", "1": "click"}


def read_skan(body: Mapping[str, object], *, keys: Keys = APPLE) -> Copy:
    """Return what a copy says, and whether its signature holds."""
    version = wild.text(body.get("version")) or _FIRST
    names = _SIGNED.get(version, _ALL)
    said = {name: body[name] for name in names if body.get(name) is not None}
    state, remark = _verify(version, said, wild.text(body.get("attribution-signature")), keys)
    return Copy(
        protocol=SKADNETWORK,
        version=wild.stored_text(version),
        signature_state=state,
        remark=remark,
        store_id=wild.store_number(said.get("app-id")),
        network_id=wild.stored_text(said.get("ad-network-id")),
        transaction_id=wild.stored_text(said.get("transaction-id")),
        sequence=wild.whole(said.get("postback-sequence-index"), most=2) or 0,
        campaign_id=wild.stored_text(said.get("campaign-id")),
        source_identifier=wild.stored_text(said.get("source-identifier")),
        source_app_id=wild.stored_text(said.get("source-app-id")),
        source_domain=wild.stored_text(said.get("source-domain")),
        conversion_type=_conversion_type(said.get("redownload")),
        ad_type=_AD_TYPES.get(wild.text(said.get("fidelity-type")), ""),
        redownload=wild.flag(said.get("redownload")),
        did_win=wild.flag(said.get("did-win")),
        conversion_value=fine_value(body),
        coarse_value=coarse_value(body),
        country=country(body),
        signature=wild.clean(wild.text(body.get("attribution-signature"))),
    )


def _verify(
    version: str, said: Mapping[str, object], signature: str, keys: Keys
) -> tuple[Signature, str]:
    if not signature:
        return Signature.UNVERIFIABLE, "The copy has no signature."
    if version not in _SIGNED:
        return Signature.UNVERIFIABLE, "The order of this version's fields is not known to us."
    if problem := _problem(version, said):
        return Signature.INVALID, problem
    try:
        decoded = base64.b64decode(signature, validate=True)
    except (ValueError, binascii.Error):
        return Signature.INVALID, "The signature is not base64."
    key = keys.old if version in _WITH_OLD_KEY else keys.new
    if not is_signed_with(key, decoded, signed_text(version, said).encode(errors="replace")):
        return Signature.INVALID, "The signature does not fit the signed fields."
    if wild.text(said.get("source-app-id")) == "0":  # what a test's ad has in place of an app
        return Signature.DEVELOPMENT, "The ad was a test: its source app is 0."
    return Signature.VALID, ""


def _problem(version: str, said: Mapping[str, object]) -> str:
    missing = [name for name in _SIGNED[version] if name not in said and name not in _OPTIONAL]
    if missing:
        return f"The signed field {missing[0]} is missing."
    if said.keys() >= _OPTIONAL:  # only one of them would be signed
        return "It names a source app and a source domain; only one can be."
    for name, value in said.items():
        # With a separator inside, text could move from one field to its neighbor.
        if SEPARATOR in wild.text(value) or not wild.text(value):
            return f"The signed field {name} can't be what it says."
    return ""


def signed_text(version: str, said: Mapping[str, object]) -> str:
    """Return the text that a copy's signature is made of."""
    return SEPARATOR.join(wild.text(said[name]) for name in _SIGNED[version] if name in said)


def _conversion_type(redownload: object) -> str:
    names = {True: "redownload", False: "download"}
    value = wild.flag(redownload)
    return "" if value is None else names[value]
