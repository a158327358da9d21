"""An organization chooses the currency of its revenue; what has no rate to it stays as it came."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.test import Client

from apps_registry.models import Organization, TrackingLink
from postbacks.callbacks.currency.stored_rates import DayOfRates, store_rates
from postbacks.infrastructure.database import roles
from tests import make
from tests.admin.pages import submit
from tests.api.calling import owner_of
from tests.database import as_role
from tests.insights.credits import make_event, make_install

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


@pytest.fixture
def earning(owner: make.Tenant, link: TrackingLink) -> TrackingLink:
    """Return a link whose install paid in three currencies, one of them without a rate."""
    make_install(link, NOW - timedelta(hours=5), device="d")
    with as_role(roles.WORKER):
        yesterday = NOW.date() - timedelta(days=1)
        store_rates([DayOfRates(yesterday, {"EUR": Decimal("1.25")})], known_after=-86_400)
    at = (NOW - timedelta(hours=1)).replace(second=0, microsecond=0)
    for amount, currency in (("10", "EUR"), ("5", "USD"), ("3", "XTS")):
        make_event(link, at, device="d", revenue=amount, currency=currency)
    Organization.objects.filter(pk=owner.organization.pk).update(currency="EUR")
    return link


def test_revenue_is_in_the_organizations_currency(browser: Client, earning: TrackingLink) -> None:
    """10 EUR and 5 USD at 1.25 are 14 EUR."""
    sum_and_rest = "€14.00 + 3.00\N{NO-BREAK SPACE}XTS"
    overview = browser.get("/admin/").content.decode()
    campaigns = browser.get("/admin/apps_registry/campaign/").content.decode()
    address = f"/admin/apps_registry/campaign/{earning.campaign_id}/change/"
    campaign = browser.get(address).content.decode()

    for page in (overview, campaigns, campaign):
        assert sum_and_rest in page
    for page in (overview, campaign):
        assert "no rate to EUR for XTS" in page


def test_metrics_say_it_beside_the_dollars(owner: make.Tenant, earning: TrackingLink) -> None:
    answer = owner_of(owner).get("metrics", group_by="partner").data

    assert answer["currency"] == "EUR"
    earned = [row for row in answer["results"] if row["events"]]
    for figures in (answer["total"], *earned):
        assert (figures["revenue_usd"], figures["revenue_converted"]) == ("17.50", "14.00")
        assert figures["revenue"] == {"EUR": "10", "USD": "5", "XTS": "3"}


def test_an_owner_chooses_it_in_the_settings(owner: make.Tenant, browser: Client) -> None:
    address = f"/admin/apps_registry/organization/{owner.organization.pk}/change/"

    refused = submit(browser, address, {"currency": "euro"})
    submit(browser, address, {"currency": "EUR"})

    assert refused.status_code == 200
    owner.organization.refresh_from_db()
    assert owner.organization.currency == "EUR"
    assert owner_of(owner).get("organization").data["currency"] == "EUR"
    document = owner_of(owner).get("organization/export").data
    assert document["organization"]["currency"] == "EUR"


def test_an_older_configuration_leaves_it(owner: make.Tenant) -> None:
    Organization.objects.filter(pk=owner.organization.pk).update(currency="EUR")
    document = owner_of(owner).get("organization/export").data
    del document["organization"]["currency"]

    imported = owner_of(owner).post("organization/import", document)

    assert imported.status == 200
    owner.organization.refresh_from_db()
    assert owner.organization.currency == "EUR"
