"""Campaigns in the admin: their figures, their links, and what to do next."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant
from tests import make
from tests.insights.credits import make_event, make_install, make_touches

pytestmark = pytest.mark.django_db(transaction=True)

CAMPAIGNS = "/admin/apps_registry/campaign/"
NOW = datetime.now(UTC)


def _live(link: TrackingLink) -> None:
    make_touches(link, *(NOW - timedelta(minutes=number) for number in range(40)))
    make_install(link, NOW - timedelta(minutes=1), device="d")
    make_event(link, NOW, device="d", revenue="4.99", currency="USD")
    make_touches(link, NOW - timedelta(days=20))


def test_the_list_shows_what_each_campaign_brought(browser: Client, link: TrackingLink) -> None:
    _live(link)

    week, month = (browser.get(CAMPAIGNS, query).content.decode() for query in (None, MONTH))

    for words in (">40<", ">2.5\N{NO-BREAK SPACE}%<", ">$4.99<"):
        assert words in week
    assert ">41<" in month


MONTH = {"period": "30d"}


@pytest.mark.parametrize(
    "column", ["Clicks", "Installs", "Installs per click", "Events", "Revenue"]
)
def test_the_list_is_sorted_by_a_figure_of_its_period(
    owner: make.Tenant, browser: Client, link: TrackingLink, column: str
) -> None:
    _live(link)
    with tenant(owner.organization.pk):
        partner = link.campaign.partner
        idle = [make.make_campaign(owner.app, partner, name=name) for name in ("Aa", "Zz")]
        names = [campaign.name for campaign in (*idle, link.campaign)]
    place = _place(browser, column)

    up, down = (_names(browser, names, f"{sign}{place}") for sign in ("", "-"))

    assert up[-1] == down[0] == link.campaign.name


def _place(browser: Client, column: str) -> str:
    """Return the number by which the list's own heading sorts a column."""
    heading = browser.get(CAMPAIGNS).content.decode().partition("</thead>")[0]
    links = re.findall(r'<a href="\?o=(\d+)[^"]*"[^>]*>\s*([^<]+?)\s*</a>', heading)
    return {name: number for number, name in links}[column]


def _names(browser: Client, names: list[str], order: str) -> list[str]:
    page = browser.get(CAMPAIGNS, {"o": order}).content.decode()
    return sorted(names, key=lambda name: page.index(f">{name}<"))


def test_the_export_holds_the_figures_of_its_period(browser: Client, link: TrackingLink) -> None:
    _live(link)

    lines = browser.get(f"{CAMPAIGNS}export/", MONTH).getvalue().decode().splitlines()

    heading, line = (text.split(",") for text in lines)
    row = dict(zip(heading, line, strict=True))
    assert (row["Links"], row["Clicks"], row["Installs"], row["Revenue"]) == (
        "1",
        "41",
        "1",
        "$4.99",
    )


def test_a_campaigns_page_shows_days_links_and_rules(
    owner: make.Tenant, browser: Client, link: TrackingLink
) -> None:
    _live(link)
    with tenant(owner.organization.pk):
        rule = make.make_rule(name="Tell them", partner=link.campaign.partner)
        make.make_rule(name="Somebody else's", partner=make.make_partner())

    page = browser.get(f"{CAMPAIGNS}{link.campaign_id}/change/").content.decode()

    assert "Clicks by day: 40 in all" in page
    assert f">{link.name}</a>" in page
    assert f">{rule.name}</a>" in page
    assert "Somebody else" not in page


def test_a_campaign_without_links_says_what_to_do(owner: make.Tenant, browser: Client) -> None:
    with tenant(owner.organization.pk):
        campaign = make.make_campaign(owner.app, make.make_partner())

    page = browser.get(f"{CAMPAIGNS}{campaign.pk}/change/").content.decode()

    assert f"trackinglink/add/?campaign={campaign.pk}" in page
    assert "No callback rule tells" in page


def test_an_unknown_period_is_the_usual_one(browser: Client, link: TrackingLink) -> None:
    listed = browser.get(CAMPAIGNS, {"period": "for ever"})
    response = browser.get(f"{CAMPAIGNS}{link.campaign_id}/change/", {"period": "\x00"})

    assert (listed.status_code, response.status_code) == (200, 200)


def test_the_list_asks_as_often_for_many_campaigns_as_for_one(
    owner: make.Tenant, browser: Client, link: TrackingLink, django_assert_max_num_queries: object
) -> None:
    with tenant(owner.organization.pk):
        for _ in range(5):
            make.make_link(make.make_campaign(owner.app, link.campaign.partner))

    with django_assert_max_num_queries(25):  # type: ignore[operator]  # the fixture is a context
        answer = browser.get(CAMPAIGNS)

    assert answer.status_code == 200
