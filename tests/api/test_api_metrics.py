"""Programs read the figures that people see."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights import figure_changes
from tests import database, make
from tests.api.calling import PROBLEM, Program, owner_of
from tests.events import event, record
from tests.touches import GAID, make_network, touch
from tests.workers import work

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://ads.example.com/?idfa={{idfa!}}"


def test_metrics_say_what_was_counted_by_each_subject() -> None:
    gem = make.make_tenant()
    partner, link = make_network(gem)
    rule = make.make_tenant_rule(gem, partner=partner, name="Purchases", triggers=["purchase"])
    make.make_tenant_rule(gem, URL, partner=None, name="Needs IDFA", triggers=["purchase"])
    touch(gem, link)
    record(gem, event("open", gaid=GAID))  # decided together with what follows
    money = ({"revenue": "4.99", "currency": "EUR"}, {"revenue": "1.50", "currency": "USD"}, {})
    record(gem, *(event("purchase", gaid=GAID, **fields) for fields in money))
    work()
    with database.as_role(roles.WORKER):
        figure_changes.fold(60)
    record(gem, event("purchase", install_id="organic", revenue="2", currency="USD"))
    work()  # is not folded
    program = owner_of(gem)

    total = program.get("metrics").data["total"]
    assert (total["events"], total["wanted"], total["owed"], total["pending"]) == (5, 8, 4, 4)
    assert total["skipped"] == {"missing_macro": 4}
    assert total["revenue"] == {"EUR": "4.99", "USD": "3.50"}
    assert (total["installs"], total["attributed_installs"]) == (1, 1)
    assert (total["attempts"], total["codes"], total["p50_ms"]) == (0, {}, None)
    by = {
        subject: {
            row[subject] if subject == "event_name" else row["name"]: row
            for row in program.get("metrics", group_by=subject).data["results"]
        }
        for subject in ("app", "partner", "campaign", "rule", "event_name")
    }
    assert by["app"][gem.app.name]["wanted"] == 8
    assert by["partner"][partner.name]["revenue"] == {"EUR": "4.99", "USD": "1.50"}
    assert by["partner"][partner.name]["wanted"] == 4
    assert by["partner"][None]["events"] == 1
    with tenant(gem.organization.pk):
        campaign = link.campaign
    assert by["campaign"][campaign.name]["installs"] == 1
    assert (by["campaign"][campaign.name]["wanted"], by["campaign"][None]["wanted"]) == (6, 2)
    assert (by["rule"]["Purchases"]["wanted"], by["rule"]["Needs IDFA"]["owed"]) == (4, 0)
    assert by["rule"]["Purchases"]["rule"] == str(rule.public_id)
    assert by["event_name"]["purchase"]["wanted"] == 8
    filtered = {
        "app": (str(gem.app.public_id), 8),
        "partner": (str(partner.public_id), 4),
        "campaign": (str(campaign.public_id), 6),
        "rule": (str(rule.public_id), 4),
    }
    for name, (public_id, wanted) in filtered.items():
        assert program.get("metrics", **{name: public_id}).data["total"]["wanted"] == wanted, name
        nobody = program.get("metrics", **{name: str(link.public_id)})
        assert nobody.data["total"]["wanted"] == 0, name


def test_metrics_have_a_row_for_each_step_and_are_available_as_csv() -> None:
    gem = make.make_tenant()
    record(gem, event("purchase", revenue="2", currency="USD"))
    work()
    program = owner_of(gem)

    for interval, rows in (("minute", 1441), ("hour", 25), ("day", 2)):
        answer = program.get("metrics", interval=interval)
        assert abs(len(answer.data["results"]) - rows) <= 1, interval
        assert sum(row["events"] for row in answer.data["results"]) == 1
        assert answer.data["results"][-1]["at"] < answer.data["until"]
    response = program.client.get(
        "/api/v1/metrics?interval=hour&group_by=event_name", headers={"Accept": "text/csv"}
    )
    (row,) = csv.DictReader(io.StringIO(response.content.decode()))
    assert (row["event_name"], row["events"], row["revenue"]) == ("purchase", "1", '{"USD": "2"}')


def ago(**length: float) -> str:
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"interval": "week"}, "interval"),
        ({"interval": "minute", "since": ago(days=4)}, "interval"),
        ({"interval": "hour", "since": ago(days=101)}, "interval"),
        ({"interval": "minute", "since": ago(days=2.5)}, "interval"),
        ({"interval": "day", "since": "1990-01-01T00:00:00Z"}, "interval"),
        ({"since": ago(days=1), "until": ago(days=2)}, "since"),
        ({"since": "2100-01-01T00:00:00Z", "until": "2101-01-01T00:00:00Z"}, "since"),
        ({"since": "yesterday"}, "since"),
        ({"group_by": "country"}, "group_by"),
        ({"app": "Gem"}, "app"),
        ({"limit": "5"}, "limit"),
    ],
)
def test_metrics_refuse_what_they_do_not_have_by_name(
    query: dict[str, str], parameter: str
) -> None:
    answer = owner_of(make.make_tenant()).get("metrics", **query)

    assert (answer.status, answer.content_type) == (400, PROBLEM)
    assert [error["parameter"] for error in answer.data["errors"]] == [parameter]


def test_metrics_of_the_longest_period_are_answered() -> None:
    program = owner_of(make.make_tenant())

    for query in ({"since": ago(days=3000)}, {"since": "0001-01-01T00:00:00Z"}):
        assert program.get("metrics", **query).status == 200


def test_every_role_reads_metrics_of_its_own_organization_and_no_key_of_an_app() -> None:
    gem, other = make.make_tenant(), make.make_tenant("Other")
    record(other, event("purchase"))
    work()

    for role in Role.values:
        user = make.make_user(role, organization=gem.organization)
        with tenant(gem.organization.pk):
            token = make.make_api_token(role, user=user)
        answer = Program(token).get("metrics")
        assert (answer.status, answer.data["total"]["events"]) == (200, 0), role
    assert Program(gem.sdk_key).get("metrics").status == 403
