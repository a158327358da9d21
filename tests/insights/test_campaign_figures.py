"""What a campaign brought in a period."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from postbacks.callbacks.currency.ecb import DayOfRates
from postbacks.callbacks.currency.stored_rates import store_rates
from postbacks.infrastructure.database import roles
from postbacks.insights.campaign_figures import (
    CampaignFigures,
    GroupBy,
    count_rejected_installs,
    read_figures,
)
from postbacks.insights.periods import Period, period_of
from tests import make
from tests.database import as_role
from tests.insights.credits import make_event, make_install, make_touches

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).replace(microsecond=0)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def link(transactional_db: None) -> TrackingLink:
    return _link(make.make_tenant())


def _link(owner: make.Tenant) -> TrackingLink:
    with tenant(owner.organization.pk):
        return make.make_link(make.make_campaign(owner.app, make.make_partner()))


def _ago(**span: float) -> datetime:
    return NOW - timedelta(**span)


def _figures(
    link: TrackingLink, period: str = "7d", by: GroupBy = GroupBy.CAMPAIGN
) -> dict[object, CampaignFigures]:
    with tenant(link.organization_id):
        return read_figures([link.campaign_id], _period(period), by=by)


def _period(key: str) -> Period:
    return period_of(key, now=NOW + timedelta(seconds=1), zone=ZoneInfo("UTC"))


def test_clicks_impressions_and_installs_are_counted_in_their_period(link: TrackingLink) -> None:
    make_touches(link, _ago(hours=1), _ago(days=1), _ago(days=20))
    make_touches(link, _ago(hours=1), kind="impression")
    make_install(link, _ago(days=1))
    make_install(link, _ago(days=20))

    week, month = _figures(link)[link.campaign_id], _figures(link, "30d")[link.campaign_id]

    assert (week.clicks, week.impressions, week.installs) == (2, 1, 1)
    assert (month.clicks, month.impressions, month.installs) == (3, 1, 2)
    assert week.rate_percent == 50


def test_refused_clicks_and_returns_stand_apart(link: TrackingLink) -> None:
    make_touches(link, _ago(hours=1), refused="incorrect_signature")
    make_install(link, _ago(hours=1), kind="reattribution", number=2)

    figures = _figures(link)[link.campaign_id]

    assert (figures.clicks, figures.refused) == (0, 1)
    assert (figures.installs, figures.returns) == (0, 1)
    assert figures.rate_percent is None


def test_events_of_earned_devices_are_counted_and_no_others(link: TrackingLink) -> None:
    make_install(link, _ago(days=20), device="earned")
    make_event(link, _ago(hours=1), device="earned", revenue="4.99", currency="USD")
    make_event(link, _ago(hours=1), device="earned", name="level_up")
    make_event(link, _ago(hours=1), device="earned", name="open")
    make_event(link, _ago(hours=1), device="earned", name="purchase", source="system")
    make_event(link, _ago(days=9), device="earned", revenue="7.00", currency="USD")
    make_event(link, _ago(hours=1), device="organic", revenue="9.99", currency="USD")

    figures = _figures(link)[link.campaign_id]

    assert figures.events == 2
    assert figures.revenue.amount == Decimal("4.99")


def test_events_belong_to_the_campaign_that_had_the_device_then(link: TrackingLink) -> None:
    with tenant(link.organization_id):
        other = make.make_link(make.make_campaign(link.campaign.app, make.make_partner()))
    make_install(link, _ago(days=5), device="d")
    make_install(other, _ago(days=2), device="d", number=2, kind="reattribution")
    make_event(link, _ago(days=3), device="d")
    make_event(link, _ago(days=1), device="d")
    make_event(link, _ago(hours=1), device="d")

    with tenant(link.organization_id):
        keys = [link.campaign_id, other.campaign_id]
        read = read_figures(keys, _period("7d"), by=GroupBy.CAMPAIGN)

    assert [read[key].events for key in keys] == [1, 2]


def test_revenue_is_in_dollars_and_what_has_no_rate_stands_beside(link: TrackingLink) -> None:
    at = _ago(hours=1)
    make_install(link, _ago(days=2), device="d")
    with as_role(roles.WORKER):
        rates = DayOfRates(at.date() - timedelta(days=1), {"EUR": Decimal("1.10")})
        store_rates([rates], known_after=-86_400)
    make_event(link, at, device="d", revenue="10", currency="EUR")
    make_event(link, at, device="d", revenue="1.50", currency="USD")
    make_event(link, at, device="d", revenue="3", currency="XTS")

    revenue = _figures(link)[link.campaign_id].revenue

    assert str(revenue) == "$12.50 + 3.00\N{NO-BREAK SPACE}XTS"


def test_installs_that_were_rejected_as_fraud_stand_apart(link: TrackingLink) -> None:
    credit = {"partner_id": link.campaign.partner_id, "campaign_name": link.campaign.name}
    for fields in ({"attribution": credit}, {"attribution": {**credit, "campaign_name": "Other"}}):
        make_event(
            link, _ago(hours=1), device="d", name="rejected_install", source="system", fields=fields
        )

    with tenant(link.organization_id):
        counts = [count_rejected_installs(link.campaign, _period(key)) for key in ("7d", "30d")]

    assert counts == [1, 1]


def test_figures_are_told_apart_by_link_and_by_day(link: TrackingLink) -> None:
    with tenant(link.organization_id):
        second = make.make_link(link.campaign)
    make_touches(link, _ago(hours=1))
    make_touches(second, _ago(days=3), _ago(days=3))

    by_link, by_day = _figures(link, by=GroupBy.LINK), _figures(link, by=GroupBy.DAY)

    assert {key: figures.clicks for key, figures in by_link.items()} == {link.pk: 1, second.pk: 2}
    assert by_day[_ago(days=3).date()].clicks == 2


def test_another_organizations_touchpoints_do_not_count(link: TrackingLink) -> None:
    stranger = _link(make.make_tenant("Stranger"))
    make_touches(stranger, _ago(hours=1))

    with tenant(link.organization_id):
        read = read_figures([link.campaign_id, stranger.campaign_id], _period("7d"), by=GroupBy.DAY)

    assert read == {}


def test_a_period_begins_at_midnight_of_its_zone() -> None:
    period = period_of("7d", now=datetime(2026, 3, 30, 23, tzinfo=UTC), zone=BERLIN)

    assert period.days[-1] == date(2026, 3, 31)
    assert len(period.days) == 7
    assert period.since == datetime(2026, 3, 24, 23, tzinfo=UTC)


def test_an_unknown_period_is_the_usual_one() -> None:
    assert period_of("ever", now=NOW, zone=BERLIN).label == "Last 7 days"
