"""Reads and verifies AdAttributionKit's copies: a JWS, and beside it what nobody signed.

Plain Python. RFC 7515 says how to verify; Apple's page on identifying the parameters in a postback
what stands inside.
"""

import base64
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from postbacks.intake.skadnetwork import wild
from postbacks.intake.skadnetwork.conversion import coarse_value, country, fine_value
from postbacks.intake.skadnetwork.copies import ADATTRIBUTIONKIT, Copy
from postbacks.intake.skadnetwork.signatures import APPLE, Keys, Signature, is_signed_with

_PART = re.compile(r"[A-Za-z0-9_-]*")
_SIGNATURE_BYTES = 64  # R and S of P-256, one after the other
_AD_TYPES = {"click", "view"}
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_aak(body: Mapping[str, object], *, keys: Keys = APPLE) -> Copy:
    """Return what a copy says, and whether its signature holds."""
    jws = body.get("jws-string")
    parts = jws.split(".") if isinstance(jws, str) else []
    said = _object(parts[1]) if len(parts) == 3 else {}
    state, remark = _verify(parts, keys)
    kind = wild.stored_text(said.get("conversion-type"))
    ad_type = wild.text(body.get("ad-interaction-type"))
    return Copy(
        protocol=ADATTRIBUTIONKIT,
        version="",
        signature_state=state,
        remark=remark,
        store_id=wild.store_number(said.get("advertised-item-identifier")),
        network_id=wild.stored_text(said.get("ad-network-identifier")),
        transaction_id=wild.stored_text(said.get("postback-identifier")),
        sequence=wild.whole(said.get("postback-sequence-index"), most=2) or 0,
        source_identifier=wild.stored_text(said.get("source-identifier")),
        source_app_id=wild.stored_text(said.get("publisher-item-identifier")),
        conversion_type=kind,
        ad_type=ad_type if ad_type in _AD_TYPES else "",
        redownload=kind == "redownload" if kind else None,
        did_win=wild.flag(said.get("did-win")),
        conversion_value=fine_value(body),
        coarse_value=coarse_value(body),
        country=country(body),
        signature=wild.clean(wild.text(jws)),
    )


def _verify(parts: list[str], keys: Keys) -> tuple[Signature, str]:
    if not parts:
        return Signature.UNVERIFIABLE, "The copy has no jws-string."
    if len(parts) != 3:
        return Signature.INVALID, "The jws-string has not three parts."
    header = _object(parts[0])  # JSON may write the slash of a key's name as \/
    known = keys.by_id.get(wild.text(header.get("kid")))
    if known is None:
        return Signature.UNVERIFIABLE, "The key that it names is not known to us."
    if header.get("alg") != "ES256" or "crit" in header:
        return Signature.INVALID, "The signature is not of the kind that Apple makes."
    key, meaning = known
    raw = _bytes(parts[2])
    if len(raw) != _SIGNATURE_BYTES:
        return Signature.INVALID, "The signature is not 64 bytes long."
    half = _SIGNATURE_BYTES // 2
    der = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    # Over the parts as they came: written anew, they would be other bytes.
    if not is_signed_with(key, der, f"{parts[0]}.{parts[1]}".encode(errors="replace")):
        return Signature.INVALID, "The signature does not fit the signed fields."
    if meaning is Signature.DEVELOPMENT:
        return meaning, "It was signed with Apple's key for development."
    return meaning, ""


def _object(part: str) -> Mapping[str, object]:
    try:
        decoded = _decoder.decode(_bytes(part))
    except (msgspec.DecodeError, ValueError, ArithmeticError, RecursionError):
        return {}
    return decoded if isinstance(decoded, dict) else {}


def _bytes(part: str) -> bytes:
    if not _PART.fullmatch(part) or len(part) % 4 == 1:
        return b""
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
