"""The country of an event: its own, else that of its IP address, else none."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from django.conf import settings as project
from pytest_django import Settings

from postbacks.intake.events.validation import check_event
from postbacks.intake.geoip import country_of
from postbacks.intake.sdk_keys import Reporter
from tests.mmdb import write_mmdb

NETWORKS = {
    "203.0.113.0/24": {"country": {"iso_code": "DE"}, "continent": {"code": "EU"}},
    "198.51.100.128/25": {"country": "UA"},
    "192.0.2.0/24": {"registered_country": {"iso_code": "US"}},
    "2001:db8::/32": {"country": {"iso_code": "BR", "names": {"en": "Brazil" * 20}}},
}
REPORTER = Reporter(
    organization_id=1, app_id=1, is_server=True, platform="ios", bundle_ids=("com.example",)
)


@pytest.fixture
def database(tmp_path: Path, settings: Settings) -> Path:
    settings.GEOIP_DATABASE = write_mmdb(tmp_path / "countries.mmdb", NETWORKS)
    return settings.GEOIP_DATABASE


def country_kept(**fields: object) -> object:
    event = {"event_name": "open", **fields}
    checked = check_event(event, reporter=REPORTER, now=datetime.now(UTC))
    assert not checked.errors
    fields = checked.row["fields"]
    assert isinstance(fields, dict)
    return fields.get("country")


@pytest.mark.parametrize(
    ("address", "country"),
    [
        ("203.0.113.7", "DE"),
        ("203.0.114.7", None),
        ("198.51.100.200", "UA"),
        ("198.51.100.1", None),
        ("192.0.2.1", None),
        ("2001:db8::1", "BR"),
        ("::ffff:203.0.113.7", None),
        ("10.0.0.1", None),
        ("nonsense", None),
    ],
)
@pytest.mark.usefixtures("database")
def test_an_address_has_the_country_of_its_network(address: str, country: str | None) -> None:
    assert country_of(address) == country


@pytest.mark.usefixtures("database")
def test_an_event_without_a_country_gets_that_of_its_address() -> None:
    assert country_kept(ip_address="203.0.113.7") == "DE"
    assert country_kept(ip_address="10.0.0.1") is None
    assert country_kept() is None


@pytest.mark.usefixtures("database")
def test_what_the_event_says_itself_counts() -> None:
    assert country_kept(ip_address="203.0.113.7", country="fr") == "FR"


@pytest.mark.parametrize(
    ("sent", "kept", "warning"),
    [
        ("UK", "GB", "In ISO 3166 “UK” is GB, which was stored."),
        ("uk", "GB", "In ISO 3166 “uk” is GB, which was stored."),
        ("EL", "GR", "In ISO 3166 “EL” is GR, which was stored."),
        ("gb", "GB", None),
        ("xk", "XK", None),
    ],
)
def test_a_country_by_its_other_code_is_kept_by_the_one_of_iso(
    sent: str, kept: str, warning: str | None
) -> None:
    event = {"event_name": "open", "country": sent}

    checked = check_event(event, reporter=REPORTER, now=datetime.now(UTC))

    fields = checked.row["fields"]
    assert isinstance(fields, dict)
    assert fields["country"] == kept
    assert checked.warnings.get("country") == warning


def test_without_a_database_there_is_no_country() -> None:
    assert country_kept(ip_address="203.0.113.7") is None


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda path: None, "can't be read: No such file or directory."),
        (lambda path: path.write_bytes(b"no database"), "is not a MaxMind database (.mmdb)."),
        (
            lambda path: write_mmdb(path, {"203.0.113.0/24": {"asn": "x"}}, kind="GeoLite2-ASN"),
            "knows no countries: it is of the type GeoLite2-ASN.",
        ),
    ],
    ids=["absent", "broken", "of another kind"],
)
def test_a_wrong_database_stops_the_start_with_a_sentence(
    make: object, sentence: str, tmp_path: Path
) -> None:
    assert callable(make)
    make(tmp_path / "wrong.mmdb")

    started = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=project.BASE_DIR,
        env={**os.environ, "GEOIP_DATABASE": str(tmp_path / "wrong.mmdb")},
        capture_output=True,
        text=True,
        check=False,
    )

    assert started.returncode != 0
    assert "The setting GEOIP_DATABASE is wrong:" in started.stderr
    assert sentence in started.stderr
