"""AdAttributionKit's copies: a JWS whose bytes count as they came."""

import base64
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from postbacks.intake.skadnetwork.aak import read_aak
from postbacks.intake.skadnetwork.copies import Copy
from postbacks.intake.skadnetwork.signatures import APPLE, AppleKeys, CopySignature

OURS = ec.derive_private_key(4711, ec.SECP256R1())
PUBLIC = base64.b64encode(
    OURS.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
).decode()
KEYS = AppleKeys(
    APPLE.old, APPLE.new, {name: (PUBLIC, meaning) for name, (_, meaning) in APPLE.by_id.items()}
)
PRODUCTION = '{"alg":"ES256","kid":"apple-cas-identifier\\/0"}'  # as Apple's devices escape it
PAYLOAD = {
    "advertised-item-identifier": 525463029,
    "conversion-type": "redownload",
    "ad-network-identifier": "com.example",
    "impression-type": "app-impression",
    "postback-sequence-index": 1,
    "source-identifier": "5239",
    "did-win": True,
    "postback-identifier": "6aafb7a5-0170-41b5-bbe4-fe71dedf1e31",
    "publisher-item-identifier": 1234567891,
}


def sign(header: str = PRODUCTION, payload: object = PAYLOAD) -> str:
    """Return a JWS as Apple makes it."""
    signed = f"{_part(header.encode())}.{_part(json.dumps(payload).encode())}"
    r, s = decode_dss_signature(OURS.sign(signed.encode(), ec.ECDSA(SHA256())))
    return f"{signed}.{_part(r.to_bytes(32) + s.to_bytes(32))}"


def read(jws: object, **beside: object) -> Copy:
    return read_aak({"jws-string": jws, **beside}, keys=KEYS)


def test_a_copy_is_read_and_verified() -> None:
    beside = {"ad-interaction-type": "click", "conversion-value": 20, "country-code": "US"}

    copy = read(sign(), **beside)

    assert copy.signature_state is CopySignature.VALID
    assert (copy.store_id, copy.network_id, copy.sequence) == ("525463029", "com.example", 1)
    assert (copy.source_identifier, copy.source_app_id) == ("5239", "1234567891")
    assert copy.transaction_id == PAYLOAD["postback-identifier"]
    assert (copy.did_win, copy.redownload, copy.conversion_type) == (True, True, "redownload")
    assert (copy.ad_type, copy.conversion_value, copy.country) == ("click", 20, "US")


def test_ids_may_come_as_text() -> None:
    """Complaint 23."""
    ids = ("advertised-item-identifier", "publisher-item-identifier")

    copy = read(sign(payload={**PAYLOAD, **{name: str(PAYLOAD[name]) for name in ids}}))

    assert copy.signature_state is CopySignature.VALID
    assert (copy.store_id, copy.source_app_id) == ("525463029", "1234567891")


@pytest.mark.parametrize("number", [0, 1])
def test_a_copy_of_a_test_is_no_real_one(number: int) -> None:
    header = f'{{"kid":"apple-development-identifier\\/{number}","alg":"ES256"}}'

    assert read(sign(header)).signature_state is CopySignature.DEVELOPMENT


@given(st.data())
def test_no_bit_of_a_copy_can_be_changed(data: st.DataObject) -> None:
    parts = sign().split(".")
    number = data.draw(st.integers(0, 2))
    raw = bytearray(base64.urlsafe_b64decode(parts[number] + "=="))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    parts[number] = _part(bytes(raw))

    assert read(".".join(parts)).signature_state in {
        CopySignature.INVALID,
        CopySignature.UNVERIFIABLE,
    }


@given(st.none() | st.integers(0, 63), st.sampled_from(["low", "high", None]), st.text(max_size=5))
def test_what_stands_beside_it_is_not_signed(fine, coarse, country) -> None:
    beside = {"conversion-value": fine, "coarse-conversion-value": coarse, "country-code": country}

    copy = read(sign(), **beside)

    assert copy.signature_state is CopySignature.VALID
    assert (copy.conversion_value, copy.coarse_value) == (fine, coarse or "")


@pytest.mark.parametrize(
    ("header", "state"),
    [
        ('{"alg":"none","kid":"apple-cas-identifier/0"}', "invalid"),
        ('{"alg":"HS256","kid":"apple-cas-identifier/0"}', "invalid"),
        ('{"alg":"ES256","kid":"apple-cas-identifier/0","crit":["b64"],"b64":false}', "invalid"),
        ('{"alg":"ES256","kid":"apple-cas-identifier/9"}', "unverifiable"),
        ('{"alg":"ES256"}', "unverifiable"),
        ('{"alg":"ES256","kid":["apple-cas-identifier/0"]}', "unverifiable"),
        ("[]", "unverifiable"),
        ("no JSON", "unverifiable"),
    ],
)
def test_only_apples_way_of_signing_is_taken(header: str, state: str) -> None:
    assert read(sign(header)).signature_state == state


def test_a_signature_of_somebody_else_is_not_apples() -> None:
    assert read_aak({"jws-string": sign()}).signature_state is CopySignature.INVALID


@pytest.mark.parametrize("payload", [[], "text", {"did-win": []}])
def test_a_signed_payload_without_an_app_names_none(payload: object) -> None:
    copy = read(sign(payload=payload))

    assert (copy.signature_state, copy.store_id) == (CopySignature.VALID, "")


@given(
    st.none()
    | st.text()
    | st.integers()
    | st.just("..")
    | st.just("e30.e30.")
    | st.lists(st.text())
)
def test_whatever_comes_is_never_called_genuine(jws: object) -> None:
    assert read(jws).signature_state in {CopySignature.INVALID, CopySignature.UNVERIFIABLE}


def _part(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
