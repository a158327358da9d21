"""Reads and verifies AdAttributionKit's copies: a JWS, and unsigned fields beside it. Plain Python.

Sources: RFC 7515 for verifying, Apple's page on identifying the parameters in a postback for the
content. A copy whose signature can't be verified is read all the same, to be stored with its state.
"""

import base64
import re
from collections.abc import Mapping
from decimal import Decimal

import msgspec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from postbacks.intake.skadnetwork import apple_values
from postbacks.intake.skadnetwork.apple_values import coarse_value, country, fine_value
from postbacks.intake.skadnetwork.copies import ADATTRIBUTIONKIT, AdType, Copy
from postbacks.intake.skadnetwork.signatures import APPLE, AppleKeys, CopySignature, is_signed_with

_PART = re.compile(r"[A-Za-z0-9_-]*")
_SIGNATURE_BYTES = 64  # R and S of P-256, one after the other
_AD_TYPES = frozenset(AdType)
_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_aak(body: Mapping[str, object], *, keys: AppleKeys = APPLE) -> Copy:
    """Return a copy and the state of its signature."""
    jws = body.get("jws-string")
    parts = jws.split(".") if isinstance(jws, str) else []
    signed = _object(parts[1]) if len(parts) == 3 else {}
    state, remark = _verify(parts, keys)
    conversion_type = apple_values.stored_text(signed.get("conversion-type"))
    ad_type = apple_values.text(body.get("ad-interaction-type"))
    return Copy(
        protocol=ADATTRIBUTIONKIT,
        version="",
        signature_state=state,
        remark=remark,
        store_id=apple_values.store_id(signed.get("advertised-item-identifier")),
        network_id=apple_values.stored_text(signed.get("ad-network-identifier")),
        transaction_id=apple_values.stored_text(signed.get("postback-identifier")),
        sequence=apple_values.integer(signed.get("postback-sequence-index"), maximum=2) or 0,
        source_identifier=apple_values.stored_text(signed.get("source-identifier")),
        source_app_id=apple_values.stored_text(signed.get("publisher-item-identifier")),
        conversion_type=conversion_type,
        ad_type=ad_type if ad_type in _AD_TYPES else "",
        redownload=conversion_type == "redownload" if conversion_type else None,
        did_win=apple_values.boolean(signed.get("did-win")),
        conversion_value=fine_value(body),
        coarse_value=coarse_value(body),
        country=country(body),
        signature=apple_values.clean(apple_values.text(jws)),
    )


def _verify(parts: list[str], keys: AppleKeys) -> tuple[CopySignature, str]:
    if not parts:
        return CopySignature.UNVERIFIABLE, "The copy has no jws-string."
    if len(parts) != 3:
        return CopySignature.INVALID, "The jws-string has not three parts."
    header = _object(parts[0])  # JSON may write the slash of a key's name as \/
    signer = keys.by_id.get(apple_values.text(header.get("kid")))
    if signer is None:
        return CopySignature.UNVERIFIABLE, "The key that it names is not known to us."
    if header.get("alg") != "ES256" or "crit" in header:
        return CopySignature.INVALID, "The signature is not of the kind that Apple makes."
    key, state = signer
    raw = _bytes(parts[2])
    if len(raw) != _SIGNATURE_BYTES:
        return CopySignature.INVALID, "The signature is not 64 bytes long."
    half = _SIGNATURE_BYTES // 2
    der = encode_dss_signature(int.from_bytes(raw[:half]), int.from_bytes(raw[half:]))
    # Signed are the parts as they were sent; encoded again they could be other bytes.
    if not is_signed_with(key, der, f"{parts[0]}.{parts[1]}".encode(errors="replace")):
        return CopySignature.INVALID, "The signature does not fit the signed fields."
    if state is CopySignature.DEVELOPMENT:
        return state, "It was signed with Apple's key for development."
    return state, ""


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
