"""Apple's keys, and the signatures made with them. Plain Python.

Sources: Apple's pages on verifying an install-validation postback (SKAdNetwork) and on verifying a
postback (AdAttributionKit).
"""

import base64
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key

# X.509 SubjectPublicKeyInfo in base64.
APPLE_P192 = (
    "MEkwEwYHKoZIzj0CAQYIKoZIzj0DAQEDMgAEMyHD625uvsmGq4C43cQ9BnfN2xslVT5V1nOmAMP6qaRRUll3PB1JYmgS"
    "m+62sosG"
)
APPLE_P256 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEWdp8GPcGqmhgzEFj9Z2nSpQVddayaPe4FMzqM9wib1+aHaaIzoHoLN9z"
    "W4K8y4SPykE3YVK3sVqW6Af0lfx3gg=="
)
_DEVELOPMENT_0 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAELeEDzpJEP+/qRSE5hJVC1p1J0ssUnQGMzBBbvnACBok8OVGGLgxL0myr"
    "Kiy6lvRtSlLRsWit87i+vftD8AEqeQ=="
)
_DEVELOPMENT_1 = (
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE8YzdO7eM97s/IJ25kdW5CZ3A14USE5IJ5Ha/vhWaxI6UBI1ZxCEvjrKx"
    "VluVGe6qWwF1BDFq+QHqKfH5u+wxHQ=="
)


class CopySignature(StrEnum):
    """The state of a copy's signature."""

    VALID = "valid"
    INVALID = "invalid"
    UNVERIFIABLE = "unverifiable"  # no signature, or an unknown key or order of fields
    DEVELOPMENT = "development"  # valid, but of a test: it never counts as real


# AdAttributionKit names its key; the second part is the state of a valid signature with it.
_BY_ID: Mapping[str, tuple[str, CopySignature]] = {
    "apple-cas-identifier/0": (APPLE_P256, CopySignature.VALID),
    "apple-development-identifier/0": (_DEVELOPMENT_0, CopySignature.DEVELOPMENT),
    "apple-development-identifier/1": (_DEVELOPMENT_1, CopySignature.DEVELOPMENT),
}


@dataclass(frozen=True, slots=True)
class AppleKeys:
    """Apple's public keys, by the version that signs with them."""

    old: str  # SKAdNetwork 1.0 and 2.0
    new: str  # SKAdNetwork 2.1 and later
    by_id: Mapping[str, tuple[str, CopySignature]]  # AdAttributionKit


APPLE = AppleKeys(APPLE_P192, APPLE_P256, _BY_ID)


def is_signed_with(key: str, signature: bytes, message: bytes) -> bool:
    """Tell whether a DER signature (ECDSA, SHA-256) of the message was made with the key."""
    try:
        _load(key).verify(signature, message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True


@functools.cache
def _load(key: str) -> ec.EllipticCurvePublicKey:
    loaded = load_der_public_key(base64.b64decode(key))
    assert isinstance(loaded, ec.EllipticCurvePublicKey)  # noqa: S101  # all of ours are
    return loaded
