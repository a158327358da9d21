"""Sites whose clicks look invented: counted each night, kept once, shown to their organization."""

from datetime import UTC, date, datetime, timedelta

import pytest

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.attribution.outliers import is_outlier, share_within_hour
from postbacks.infrastructure.database import roles
from postbacks.insights.fraud_report import TIDYING_NAME, record_outliers
from postbacks.models import Attribution, Install, SiteTimes, Tidying
from tests import make
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.events import event, record
from tests.touches import GAID, touch
from tests.workers import work

NIGHT = datetime(2026, 11, 20, 3, tzinfo=UTC)
PAGE = "/admin/fraud-report/"


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ((0, 0, 0, 14, 10, 10, 10, 6), True),  # 28 % of 50 within an hour
        ((0, 0, 0, 15, 10, 10, 10, 5), False),  # 30 %
        ((0, 0, 0, 0, 0, 0, 0, 49), False),  # too few to say
        ((0, 0, 0, 0, 0, 0, 0, 50), True),
        ((10, 10, 10, 10, 0, 0, 0, 10), False),
    ],
)
def test_a_site_is_an_outlier_by_share_and_size(times: tuple[int, ...], expected: bool) -> None:
    assert is_outlier(times) is expected


def test_the_share_counts_what_came_within_an_hour() -> None:
    assert share_within_hour((1, 1, 1, 1, 4, 0, 0, 0)) == 50
    assert share_within_hour(()) == 0


def _installs(link: TrackingLink, site: str, hours: list[float], kind: str = "install") -> None:
    at = NIGHT - timedelta(days=1)
    for number, after in enumerate(hours):
        install = Install.objects.create(
            app=link.campaign.app,
            device=f"{site}-{kind}-{number}",
            kind=kind,
            installed_at=at,
            event_ref=1,
            event_received_at=at,
            attribution_type="click",
            partner=link.campaign.partner,
            touched_at=at - timedelta(hours=after),
        )
        Attribution.objects.create(
            install=install, version=1, decided_at=at, type="click", facts={"site_id": site}
        )


def _gem() -> tuple[make.Tenant, TrackingLink]:
    gem = make.make_tenant()
    with tenant(gem.organization.pk):
        return gem, make.make_link(make.make_campaign(gem.app, make.make_partner()))


@pytest.mark.django_db(transaction=True)
def test_a_night_keeps_the_outliers_of_each_organization_once() -> None:
    (gem, bad), (other, good) = _gem(), _gem()
    with as_role(roles.WORKER):
        with tenant(gem.organization.pk):
            _installs(bad, "invented", [0.5] * 10 + [30.0] * 45)
            _installs(bad, "honest", [0.5] * 60)
            _installs(bad, "small", [30.0] * 49)
            _installs(bad, "small", [30.0] * 9, kind="reattribution")
        with tenant(other.organization.pk):
            _installs(good, "honest", [0.1] * 55)
        counts = [record_outliers(NIGHT + timedelta(hours=hours)) for hours in (0, 1, 20)]
        next_night = record_outliers(NIGHT + timedelta(days=1))

    assert counts == [1, 0, 0]
    assert next_night == 1
    with tenant(gem.organization.pk):
        site_times = SiteTimes.objects.order_by("day").first()
    assert site_times is not None
    assert (site_times.site_id, site_times.day, sum(site_times.times)) == (
        "invented",
        date(2026, 11, 20),
        55,
    )
    with tenant(other.organization.pk):
        assert not SiteTimes.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_page_shows_the_site_and_what_was_rejected() -> None:
    gem, link = _gem()
    with as_role(roles.WORKER), tenant(gem.organization.pk):
        Tidying.objects.create(name=TIDYING_NAME, through=NIGHT)
        SiteTimes.objects.create(
            app=gem.app,
            partner=link.campaign.partner,
            site_id="pub_7",
            day=NIGHT.date(),
            times=[0, 0, 0, 5, 10, 10, 10, 25],
        )
    touch(gem, link, ago=0.5, click_id="injected")
    record(gem, event("install", gaid=GAID))
    work()

    page = sign_in(gem.owner).get(PAGE, {"period": "7d"}).content.decode()
    empty = sign_in(make.make_tenant().owner).get(PAGE).content.decode()

    assert "pub_7" in page
    assert "60 installs · 8 % within an hour" in page
    assert "engagement_injection" in page
    assert "Nothing was rejected" in empty
    assert "No site looked like that in the night to Nov 20, 2026" in empty


@pytest.mark.django_db(transaction=True)
def test_after_a_clean_night_the_page_shows_no_site() -> None:
    gem, link = _gem()
    with as_role(roles.WORKER):
        with tenant(gem.organization.pk):
            _installs(link, "invented", [30.0] * 55)
        record_outliers(NIGHT)
    flagged = sign_in(gem.owner).get(PAGE).content.decode()
    with as_role(roles.WORKER):
        record_outliers(NIGHT + timedelta(days=20))

    page = sign_in(gem.owner).get(PAGE).content.decode()

    assert ("55 installs" in flagged, "55 installs" in page) == (True, False)
    assert "No site looked like that" in page
