"""Lists say how their rows do: the last 24 hours, last delivered, last failure."""

import re
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.models import App, Campaign
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights import figure_changes
from postbacks.models import CallbackRule
from tests import database, make
from tests.admin.pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

HOUR = timedelta(hours=1)
LISTS = {
    "rule": "/admin/postbacks/callbackrule/",
    "partner": "/admin/apps_registry/partner/",
    "app": "/admin/apps_registry/app/",
    "campaign": "/admin/apps_registry/campaign/",
}
COLUMNS = {"Last 24 h": 0, "Failed": 1, "Last delivered": 2, "Last failure": 3}


def count(
    gem: make.Tenant,
    rule: CallbackRule,
    campaign: Campaign,
    state: str,
    *,
    ago: timedelta,
    times: int = 1,
) -> None:
    """Count postbacks that ended so, and the attempt of each, as the pipeline would."""
    at = datetime.now(UTC) - ago
    outcome = "delivered" if state == "delivered" else "retry"
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO figure_change (organization_id, at, kind, app_ref, rule_ref, campaign_ref,"
            " event_name, state, code, count)"
            " VALUES (%s, minute_of(%s), %s, %s, %s, %s, 'open', %s, '', %s)",
            [
                (gem.organization.pk, at, kind, gem.app.pk, rule.pk, campaign.pk, word, times)
                for kind, word in (("postback", state), ("attempt", outcome))
            ],
        )


def fold() -> None:
    with database.as_role(roles.WORKER):
        figure_changes.fold(60)


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def busy(gem: make.Tenant) -> tuple[CallbackRule, Campaign]:
    """Return a rule and a campaign that do much, beside a rule that does nothing."""
    with tenant(gem.organization.pk):
        partner = make.make_partner("Lumen Ads")
        campaign = make.make_campaign(gem.app, partner, "Summer")
        rule = make.make_rule(name="Busy", app=gem.app, partner=partner)
        make.make_rule(name="Idle")
        make.make_campaign(gem.app, make.make_partner("Quiet"), "Winter")
        App.objects.create(name="Quiet app")
    count(gem, rule, campaign, "delivered", ago=3 * HOUR, times=12)
    count(gem, rule, campaign, "failed", ago=2 * HOUR, times=3)
    count(gem, rule, campaign, "delivered", ago=50 * HOUR, times=99)
    fold()
    count(gem, rule, campaign, "delivered", ago=HOUR)  # is not folded yet
    return rule, campaign


@pytest.mark.parametrize("kind", LISTS)
def test_a_list_shows_the_last_day_and_the_newest_outcomes(
    gem: make.Tenant, busy: tuple[CallbackRule, Campaign], kind: str
) -> None:
    page = sign_in(gem.owner).get(LISTS[kind]).content.decode()

    assert "Last 24 hours: 13 delivered, 3 failed; most at " in page
    assert "Nothing ended in the last 24 hours" in page
    assert re.search(r">1\sh ago</time>", page)
    assert re.search(r">2\sh ago</time>", page)
    (failed,) = set(re.findall(r'hl-failed" href="([^"]+)">3<', page))
    assert f"?{kind}=" in failed
    assert "style=" not in re.findall(r"<svg class=\"hl-spark.*?</svg>", page, re.S)[0]
    log = sign_in(gem.owner).get(failed.replace("&amp;", "&"))
    assert log.status_code == 200
    assert "is not a filter" not in log.content.decode()


def headings(page: str) -> dict[str, str]:
    """Return the number by which the list's own heading sorts each column."""
    head = page.partition("</thead>")[0]
    links = re.findall(r'<a href="\?o=-?(\d+)[^"]*"[^>]*>\s*([^<]+?)\s*</a>', head)
    return {name: number for number, name in links}


@pytest.mark.parametrize("column", COLUMNS)
@pytest.mark.parametrize("kind", LISTS)
def test_a_list_is_sorted_by_health_as_a_whole(
    gem: make.Tenant, busy: tuple[CallbackRule, Campaign], kind: str, column: str
) -> None:
    browser = sign_in(gem.owner)
    number = headings(browser.get(LISTS[kind]).content.decode())[column]

    pages = [
        browser.get(LISTS[kind], {"o": f"{sign}{number}"}).content.decode() for sign in ("-", "")
    ]

    places = [
        (page.index("13 delivered, 3 failed"), page.rindex("Nothing ended in the last"))
        for page in pages
    ]
    assert places[0][0] < places[0][1]  # the busiest first
    assert places[1][0] > pages[1].index("Nothing ended in the last")


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("order", ["", "-last_day"])
def test_a_list_takes_as_many_statements_for_many_rows_as_for_few(
    gem: make.Tenant, busy: tuple[CallbackRule, Campaign], kind: str, order: str
) -> None:
    browser = sign_in(gem.owner)
    number = headings(browser.get(LISTS[kind]).content.decode())["Last 24 h"]
    query = {"o": f"-{number}"} if order else {}

    def statements() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(LISTS[kind], query).status_code == 200
        return len(queries)

    few = statements()
    with tenant(gem.organization.pk):
        for each in range(40):
            partner = make.make_partner(f"Partner {each}")
            rule = make.make_rule(name=f"Rule {each}", partner=partner)
            app = App.objects.create(name=f"App {each}")
            campaign = make.make_campaign(app, partner, f"Campaign {each}")
            count(gem, rule, campaign, "failed", ago=HOUR)

    assert statements() == few


def test_the_file_of_a_list_has_its_figures_as_numbers_and_times(
    gem: make.Tenant, busy: tuple[CallbackRule, Campaign]
) -> None:
    answer = sign_in(gem.owner).get(f"{LISTS['rule']}export/")

    heading, *lines = (line.split(",") for line in answer.getvalue().decode().splitlines())
    row = next(line for line in lines if "Busy" in line)
    values = dict(zip(heading, row, strict=False))
    assert (values["Last 24 h"], values["Failed"]) == ("13", "3")
    assert re.match(r"\d{4}-\d\d-\d\dT", values["Last failure"])


def test_outcomes_of_another_organization_are_not_seen(
    gem: make.Tenant, busy: tuple[CallbackRule, Campaign]
) -> None:
    other = make.make_tenant("Other")
    with tenant(other.organization.pk):
        make.make_rule(name="Theirs")

    page = sign_in(other.owner).get(LISTS["rule"]).content.decode()

    assert "Nothing ended in the last 24 hours" in page
    assert (
        "</time>"
        not in page.partition("Last failure")[2]
        .partition("Updated")[2]
        .partition("Theirs")[2]
        .partition("hl-spark")[2]
        .partition("</td>")[0]
    )
