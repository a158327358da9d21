"""What one device is: the ids by which it is known, and the form in which they are compared."""

import pytest

from postbacks.values import identifiers
from postbacks.values.identifiers import (
    ADVERTISING_IDS,
    device_key,
    hashed_identifiers,
    identifiers_of,
    installation_identifiers,
)

ID = "38400000-8CF0-11BD-B23E-10B96E40000D"
ADVERTISING = f"advertising:{ID.lower()}"


def test_every_platform_has_its_advertising_id() -> None:
    assert set(ADVERTISING_IDS) == {"idfa", "gaid", "oaid", "amazon_id", "advertising_id"}


@pytest.mark.parametrize("kind", ADVERTISING_IDS)
def test_one_advertising_id_is_one_device_by_whatever_name_and_in_either_case(kind: str) -> None:
    assert device_key(kind, ID) == device_key("advertising_id", ID.lower()) == ADVERTISING
    assert set(identifiers_of({kind: ID})) == {ADVERTISING}


def test_an_oaid_that_is_no_uuid_is_a_device_as_well() -> None:
    oaid = "1D3DFAD0F5E4B7A2"

    assert device_key("oaid", oaid) == f"advertising:{oaid.lower()}"
    assert set(identifiers_of({"oaid": oaid})) == {f"advertising:{oaid.lower()}"}
    assert len(set(hashed_identifiers({"oaid": oaid}))) == 4  # of either case, by two algorithms


def test_what_an_sdk_made_is_compared_letter_by_letter() -> None:
    assert device_key("install_id", "Ab") != device_key("install_id", "ab")
    assert set(identifiers_of({"install_id": "Ab", "web_id": "Cd"})) == {
        "install_id:Ab",
        "web_id:Cd",
    }


def test_a_vendors_ids_are_kinds_of_their_own() -> None:
    assert set(identifiers_of({"idfv": ID, "android_id": "A1B2"})) == {
        f"idfv:{ID.lower()}",
        "android_id:a1b2",
    }


def test_zeros_and_what_no_platform_makes_are_no_device() -> None:
    zeros = "00000000-0000-0000-0000-000000000000"

    assert not set(identifiers_of({"idfa": zeros, "oaid": zeros, "gaid": "not-an-id"}))
    assert not set(hashed_identifiers({"gaid": "not-an-id"}))


def test_an_installation_is_named_by_its_own_id_before_its_devices() -> None:
    assert installation_identifiers({"install_id": "a", "gaid": ID}) == {"install_id:a"}
    assert installation_identifiers({"gaid": ID}) == {ADVERTISING}


def test_a_key_differs_in_each_app() -> None:
    assert identifiers.key_of(1, ADVERTISING) != identifiers.key_of(2, ADVERTISING)
    assert identifiers.keys_of(1, [ADVERTISING]) == {
        identifiers.key_of(1, ADVERTISING): ADVERTISING
    }
