"""What Apple's copies add up to: valid ones, each transaction once."""

import uuid
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from apps_registry.tenancy import tenant
from postbacks.insights.logs import TimeRange
from postbacks.insights.skan_copies import (
    SkanCopySearch,
    SkanReport,
    read_skan_report,
    registrable,
    skan_setup,
)
from tests import make

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 4, 10, tzinfo=UTC)
ALL = SkanCopySearch(TimeRange())


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


def store(made: make.Tenant, *copies: dict[str, object]) -> None:
    with tenant(made.organization.pk):
        for values in copies:
            make.make_skan_postback(made.app, **{"received_at": NOW, **values})


def report(made: make.Tenant, search: SkanCopySearch = ALL, zone: str = "UTC") -> SkanReport:
    with tenant(made.organization.pk):
        return read_skan_report(search, now=NOW, zone=ZoneInfo(zone))


def test_only_valid_copies_count_and_each_once(made: make.Tenant) -> None:
    store(
        made,
        {},
        {"did_win": False},
        {"redownload": True},
        {"duplicate_of": uuid.uuid4()},
        {"signature_state": "invalid"},
        {"signature_state": "development"},
        {"signature_state": "unverifiable"},
        {"signature_state": "invalid", "duplicate_of": uuid.uuid4()},
    )

    it = report(made)

    assert (it.whole.copies, it.whole.wins, it.whole.redownloads) == (3, 2, 1)
    assert it.duplicates == 2
    assert dict(it.states) == {"Valid": 3, "Invalid": 1, "Development": 1, "Can't be verified": 1}


def test_before_version_3_every_copy_is_the_winners(made: make.Tenant) -> None:
    unsaid = {"did_win": None}
    store(
        made,
        {**unsaid, "version": "2.2"},
        {**unsaid, "version": "3.0"},
        {**unsaid, "protocol": "adattributionkit", "version": "1.0"},
    )

    assert report(made).whole.wins == 1


def test_revenue_is_added_up_as_a_range_and_by_currency(made: make.Tenant) -> None:
    earned = {"event_name": "purchase", "currency": "USD"}
    store(
        made,
        {**earned, "least_revenue": "1", "most_revenue": "4.99"},
        {**earned, "least_revenue": "5", "most_revenue": "9.99"},
        {**earned, "least_revenue": "100", "currency": "EUR"},
        {},
    )

    it = report(made)

    assert str(it.whole.revenue) == "100.00 EUR, 6.00 to 14.98 USD"
    assert it.whole.decoded == 3
    assert [(line.name, line.tally.copies) for line in it.meanings] == [("purchase", 3), ("", 1)]


def test_copies_are_told_apart_by_network_and_campaign(made: make.Tenant) -> None:
    with tenant(made.organization.pk):
        partner = make.make_partner("Unity Ads")
    store(
        made,
        {"partner": partner},
        {"partner": partner},
        {"source_identifier": "17"},
        {"source_identifier": "", "campaign_id": "42", "version": "3.0"},
    )

    lines = report(made).campaigns

    assert [(line.name, line.detail, line.tally.copies) for line in lines] == [
        (partner.name, "5239", 2),
        ("com.example", "17", 1),
        ("com.example", "42", 1),
    ]


def test_days_are_those_of_the_organization(made: make.Tenant) -> None:
    store(made, {"received_at": NOW - timedelta(hours=10, minutes=30)}, {})

    here, there = report(made), report(made, zone="America/New_York")

    assert [line.tally.copies for line in here.by_day[:2]] == [1, 1]
    assert [line.tally.copies for line in there.by_day[:2]] == [1, 1]
    assert [line.name for line in here.by_day[:2]] == ["May 4", "May 3"]
    assert len(here.days) == 30


def test_a_report_is_of_a_time_and_at_most_of_three_months(made: make.Tenant) -> None:
    store(made, {}, {"received_at": NOW - timedelta(days=40)})
    long_ago = SkanCopySearch(TimeRange(since=NOW - timedelta(days=400)))
    hour = SkanCopySearch(TimeRange(since=NOW - timedelta(hours=1)))
    past = SkanCopySearch(TimeRange(until=NOW - timedelta(days=35)))

    assert report(made).whole.copies == 1
    assert (report(made, long_ago).whole.copies, len(report(made, long_ago).days)) == (2, 92)
    assert (report(made, hour).whole.copies, len(report(made, hour).days)) == (1, 1)
    assert report(made, past).whole.copies == 1


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("track.example.com", "example.com"),
        ("example.com", "example.com"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("example.co.uk", "example.co.uk"),
        ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"),
        ("go.example.de", "example.de"),
    ],
)
def test_apple_leaves_sub_domains_out(host: str, domain: str) -> None:
    assert registrable(host) == domain


def test_an_app_says_the_registrable_domain() -> None:
    setup = skan_setup("https://track.example.com:8443/")

    assert setup.is_sub_domain
    assert setup.lines.count("<string>https://example.com</string>") == 2
    assert "NSAdvertisingAttributionReportEndpoint" in setup.lines
    assert "AttributionCopyEndpoint" in setup.lines
