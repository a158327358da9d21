"""What an event tells of its install becomes evidence, and nothing that it sends does harm."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest
from pytest_django import Settings

from postbacks.attribution.evidence import InstallEvidence
from postbacks.attribution.install_evidence import read_install
from postbacks.attribution.known_installs import KnownInstalls, identifier_keys
from postbacks.values import play_referrer
from postbacks.values.events import StoredApp, StoredEvent
from postbacks.values.timestamps import parse_timestamp

MOMENT = datetime(2026, 5, 4, 10, 0, tzinfo=UTC)
OWN = UUID("0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55")


def test_ids_are_names_raw_and_hashed_in_either_case() -> None:
    evidence = _read(idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC", ip_address="203.0.113.7")

    assert evidence.identifiers == {
        "advertising:6d92078a-8246-4ba4-ae5b-76104861e7dc",
        "ip:203.0.113.7",
        "md5:f2d1311ca5c1ecb214c19a26e9ddbad0",  # printf 6D92… | md5sum
        "sha1:b4454fc62a7a0c64dbc1525b539f561064544125",
        "md5:0c2074fb86930fc4a2a7bb791240a7d3",  # printf 6d92… | md5sum
        "sha1:d520a80c026be39edeb9c6e3f37c01f2da5f5e97",
    }


def test_an_advertising_id_that_no_device_makes_is_ignored_and_remarked() -> None:
    evidence = _read(gaid="not-an-id", idfv="599F9C00-92DC-4B5C-9464-7971F01F8370")
    zeros = _read(gaid="00000000-0000-0000-0000-000000000000")

    assert not any(identifier.startswith("advertising:") for identifier in evidence.identifiers)
    assert evidence.remarks == ("malformed_advertising_id",)
    assert (zeros.identifiers, zeros.remarks) == (frozenset(), ())


def test_all_seven_fields_of_the_play_store_are_read_and_the_server_is_believed() -> None:
    evidence = _read(
        install_referrer=f"postbacks_click={OWN}&utm_source=net&gclid=g-1",
        referrer_click_time="1777888700",
        referrer_click_time_server="1777888799",
        install_begin_time="1777888740000",
        install_begin_time_server="1777888805",
        install_version="3.2.1",
        google_play_instant=False,
    )

    assert evidence.referrer_identifiers == {f"touch:{OWN}", "click_id:g-1"}
    assert evidence.referrer_identifiers <= evidence.identifiers
    assert evidence.referrer["utm_source"] == "net"
    assert evidence.referrer_click_at == datetime.fromtimestamp(1777888799, UTC)
    assert evidence.install_begin_at == datetime.fromtimestamp(1777888805, UTC)
    assert evidence.has_server_begin_time


def test_where_the_server_told_no_time_the_device_is_believed() -> None:
    evidence = _read(install_begin_time="1777888740000", install_begin_time_server="0")

    assert evidence.install_begin_at == datetime.fromtimestamp(1777888740, UTC)
    assert not evidence.has_server_begin_time


def test_what_the_store_said_is_no_evidence_where_the_app_stayed() -> None:
    event = _event(install_referrer="gclid=g-1", install_begin_time_server="1777888805")

    evidence = read_install(event, is_return=True, was_downloaded=False)

    assert (evidence.referrer, evidence.install_begin_at) == ({}, None)
    assert evidence.identifiers == frozenset()


def test_a_link_that_opened_the_app_names_its_click() -> None:
    evidence = _read(click_id=str(OWN).upper(), gbraid="b-1")

    assert evidence.identifiers == {f"touch:{OWN}", f"click_id:{str(OWN).upper()}", "click_id:b-1"}
    assert evidence.referrer_identifiers == frozenset()


def test_an_anonymous_address_is_marked(settings: Settings) -> None:
    settings.ANONYMOUS_NETWORKS = (ip_network("203.0.113.0/24"),)

    assert _read(ip_address="203.0.113.7").is_anonymous
    assert not _read(ip_address="198.51.100.7").is_anonymous


@pytest.mark.parametrize(
    ("referrer", "expected"),
    [
        ("utm_source=google-play&utm_medium=organic", set()),
        ("adjust_external_click_id=net_5&clickid=7", {"click_id:net_5", "click_id:7"}),
        ("af_click_id=a&fbclid=b&msclkid=c&wbraid=d", {f"click_id:{letter}" for letter in "abcd"}),
        ("click_id%3D9%26utm_source%3Dnet", {"click_id:9"}),  # encoded once more
        ("click_id=%7Bclick_id%7D&gclid=null&clickid=[CLICKID]", set()),  # never filled in
        ("postbacks_click=no-uuid", set()),
        ("click_id%253D9%2526utm_source%253Dnet", {"click_id:9"}),  # encoded twice more
        (f"postbacks_click%25253D{OWN}%252526a%25253Db", {f"touch:{OWN}"}),
        (
            f"a=x&referrer=postbacks_click%3D{OWN}%26gclid%3Dg",
            {f"touch:{OWN}", "click_id:g"},
        ),
        (f"referrer%3Dpostbacks_click%253D{OWN}", {f"touch:{OWN}"}),
        (f"referrer=referrer%3Dpostbacks_click%253D{OWN}", {f"touch:{OWN}"}),
        ("https://play.google.com/store/apps/details?id=a&referrer=gclid%3D1", {"click_id:1"}),
        (f"market://details?id=a&referrer=postbacks_click%3D{OWN}", {f"touch:{OWN}"}),
        (f"?postbacks_click={OWN}", {f"touch:{OWN}"}),
        (f"utm_source=x%26postbacks_click%3D{OWN}", {f"touch:{OWN}"}),
        (f"utm_source=x%26postbacks_click%253D{OWN}%26a%3Db", {f"touch:{OWN}"}),
        (f"utm_source=a&amp;postbacks_click={OWN}&amp;gclid=2", {f"touch:{OWN}", "click_id:2"}),
        ("deep_link=https%3A%2F%2Fx.example%2F%3Fclick_id%3D5", set()),  # of another address
        ("click_id=1&referrer=click_id%3D2", {"click_id:1"}),  # the outer one counts
        ("%253D" * 800, set()),
        ("referrer=" * 400, set()),
        ("&&==%%%zz=%", set()),
        ("a=1&" * 500 + "gclid=2", set()),
        ("", set()),
    ],
)
def test_a_referrer_is_read_as_a_query_string(referrer: str, expected: set[str]) -> None:
    assert set(play_referrer.click_identifiers(play_referrer.parse(referrer))) == expected


@pytest.mark.parametrize("sent", [None, 5, True, [], {}, "\x00", "=" * 4000, "gclid=" + "x" * 4000])
def test_nothing_that_stands_for_a_referrer_or_a_time_raises(sent: object) -> None:
    evidence = _read(install_referrer=sent, install_begin_time=sent, click_id=sent, gaid=sent)

    assert evidence.referrer_identifiers == frozenset()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1777888800", MOMENT),
        (1777888800, MOMENT),
        ("1777888800000", MOMENT),
        ("2026-05-04T10:00:00Z", MOMENT),
        ("2026-05-04T12:00:00+02:00", MOMENT),
        ("2026-05-04T10:00:00", None),  # without an offset it could be any of 26 hours
        ("0", None),
        ("-5", None),
        ("NaN", None),
        ("1e400", None),
        ("soon", None),
    ],
)
def test_times_come_as_seconds_milliseconds_or_iso(value: object, expected: object) -> None:
    assert parse_timestamp(value) == expected


def test_events_of_a_batch_have_the_keys_that_each_has_alone() -> None:
    """A device's are made once for all of its events."""
    device = {"install_id": "a-1", "idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC"}
    described = [
        _event(**device),
        _event(**device, ip_address="203.0.113.7"),
        replace(_event(**device), organization_id=2),
        replace(_event(**device), app=replace(StoredApp.unknown(), id=7)),
        _event(**{**device, "install_id": "a-2"}),
        _event(**{**device, "idfa": device["idfa"].lower()}),
        _event(**device, as_written={"idfa": "{6D92078A-8246-4BA4-AE5B-76104861E7DC}"}),
        _event(**device, as_written={"idfv": "6D92078A-8246-4ba4-ae5b-76104861e7dc"}),
        _event(**device, idfv=None),
        _event(**device, gaid=["a", "list"]),
        _event(gaid="00000000-0000-0000-0000-000000000000"),
        _event(web_id="6d92078a-8246-4ba4-ae5b-76104861e7dc", oaid="not-an-id"),
        _event(),
    ]
    known_installs = KnownInstalls()

    keys = [known_installs.keys_of(event) for event in [*described, *described]]

    alone = [tuple(identifier_keys(event)) for event in described]
    assert keys == [*alone, *alone]
    assert len(set(map(frozenset, alone))) == 8


def _read(**fields: object) -> InstallEvidence:
    return read_install(_event(**fields))


def _event(**fields: object) -> StoredEvent:
    return StoredEvent(
        organization_id=1,
        id=1,
        received_at=MOMENT + timedelta(seconds=1),
        event_id=uuid4(),
        event_name="install",
        event_time=MOMENT,
        source="sdk",
        platform="android",
        bundle_id="com.example",
        device="install_id:a",
        revenue=None,
        currency="",
        fields=fields,
        params={},
        app=StoredApp.unknown(),
    )
