"""Published postbacks verify, and nothing that is signed can be changed."""

import base64
import json
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.intake.skadnetwork.signatures import APPLE, AppleKeys, CopySignature
from postbacks.intake.skadnetwork.skan import _SIGNED, read_skan

FILE = json.loads((Path(__file__).parent / "vectors.json").read_text())
GENUINE = {CopySignature.VALID, CopySignature.DEVELOPMENT}


def keys_of(vector: dict[str, Any]) -> AppleKeys:
    """Apple's keys, or those with which the samples of the open specification were signed."""
    owner = vector["key"].split("-")[0]
    return AppleKeys(FILE["keys"][f"{owner}-p192"], FILE["keys"][f"{owner}-p256"], APPLE.by_id)


def name_of(vector: dict[str, Any]) -> str:
    number = FILE["vectors"].index(vector)
    return f"{number}-{vector['body']['version']}-{vector.get('why', 'genuine')}"


VERIFYING = [vector for vector in FILE["vectors"] if vector["expect"]]


@pytest.mark.parametrize("vector", FILE["vectors"], ids=name_of)
def test_a_published_postback_verifies_or_not_as_published(vector) -> None:
    copy = read_skan(vector["body"], keys=keys_of(vector))

    assert (copy.signature_state in GENUINE) == vector["expect"]


def test_apples_keys_are_the_published_ones() -> None:
    assert (APPLE.old, APPLE.new) == (FILE["keys"]["apple-p192"], FILE["keys"]["apple-p256"])
    assert {name: key for name, (key, _) in APPLE.by_id.items()} == FILE["aak_keys"]


@given(st.data())
def test_no_signed_value_can_be_changed_by_a_bit(data: st.DataObject) -> None:
    vector = data.draw(st.sampled_from(VERIFYING))
    body = deepcopy(vector["body"])
    signed = [name for name in _SIGNED[body["version"]] if name in body and name != "version"]
    name = data.draw(st.sampled_from(signed))
    value = body[name]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    index = data.draw(st.integers(0, len(text) - 1))
    bit = data.draw(st.integers(0, 6))
    changed = text[:index] + chr(ord(text[index]) ^ (1 << bit)) + text[index + 1 :]

    copy = read_skan({**body, name: changed}, keys=keys_of(vector))

    assert copy.signature_state is CopySignature.INVALID


@pytest.mark.parametrize("vector", VERIFYING, ids=name_of)
def test_the_version_is_signed_too(vector) -> None:
    others = {version for version in _SIGNED if version != vector["body"]["version"]}

    states = {
        read_skan({**vector["body"], "version": other}, keys=keys_of(vector)).signature_state
        for other in others
    }

    assert states == {CopySignature.INVALID}


@given(st.data())
def test_no_bit_of_a_signature_can_be_changed(data: st.DataObject) -> None:
    vector = data.draw(st.sampled_from(VERIFYING))
    raw = bytearray(base64.b64decode(vector["body"]["attribution-signature"]))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    body = {**vector["body"], "attribution-signature": base64.b64encode(raw).decode()}

    copy = read_skan(body, keys=keys_of(vector))

    assert copy.signature_state is CopySignature.INVALID


@pytest.mark.parametrize("vector", VERIFYING, ids=name_of)
@pytest.mark.parametrize("value", [0, 17, "63", None])
def test_conversion_values_are_not_signed(vector, value) -> None:
    body = {**vector["body"], "conversion-value": value, "coarse-conversion-value": "high"}

    copy = read_skan(body, keys=keys_of(vector))

    assert copy.signature_state in GENUINE
    assert copy.conversion_value == (None if value is None else int(value))
    assert copy.coarse_value == "high"


@pytest.mark.parametrize("vector", VERIFYING, ids=name_of)
def test_numbers_and_booleans_may_come_as_text(vector) -> None:
    texts = {
        name: str(value).lower() if isinstance(value, bool) else str(value)
        for name, value in vector["body"].items()
    }

    as_text = read_skan(texts, keys=keys_of(vector))

    assert as_text == read_skan(vector["body"], keys=keys_of(vector))
    assert as_text.signature_state in GENUINE
    assert as_text.store_id == "525463029"


def test_text_can_not_move_from_one_signed_field_to_its_neighbor() -> None:
    """Otherwise one signature would prove several transactions."""
    vector = next(vector for vector in VERIFYING if vector["body"]["version"] == "2.1")
    body = dict(vector["body"])
    moved = {
        **body,
        "transaction-id": f"{body['transaction-id']}\u2063{body['redownload']}",
        "redownload": body["source-app-id"],
    }
    del moved["source-app-id"]

    assert read_skan(moved, keys=keys_of(vector)).signature_state is CopySignature.INVALID


def test_what_a_version_does_not_sign_is_not_read() -> None:
    """Otherwise a copy of version 3 would count once for each place in the sequence."""
    vector = next(vector for vector in VERIFYING if vector["body"]["version"] == "3.0")
    body = {**vector["body"], "postback-sequence-index": 2, "source-identifier": "9999"}

    copy = read_skan(body, keys=keys_of(vector))

    assert copy.signature_state in GENUINE
    assert (copy.sequence, copy.source_identifier) == (0, "")


def test_a_source_app_and_a_source_domain_are_not_both_signed() -> None:
    vector = FILE["vectors"][0]

    copy = read_skan({**vector["body"], "source-app-id": 1}, keys=keys_of(vector))

    assert copy.signature_state is CopySignature.INVALID


def test_a_test_ad_is_no_real_one() -> None:
    vector = next(vector for vector in VERIFYING if vector["body"].get("source-app-id") == 0)

    assert read_skan(vector["body"], keys=keys_of(vector)).signature_state == "development"


@pytest.mark.parametrize("change", [{"version": "5.0"}, {"attribution-signature": None}])
def test_what_nobody_can_verify_is_not_called_forged(change) -> None:
    copy = read_skan({**FILE["vectors"][0]["body"], **change})

    assert copy.signature_state is CopySignature.UNVERIFIABLE
    assert copy.network_id == "com.example"


@given(
    st.dictionaries(
        st.sampled_from([*FILE["vectors"][0]["body"], "campaign-id", "source-app-id"]),
        st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers()),
    )
)
def test_whatever_comes_is_never_called_genuine(body) -> None:
    assert read_skan(body).signature_state not in GENUINE
