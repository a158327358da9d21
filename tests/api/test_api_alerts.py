"""Alerts over the API: made with little, checked as by the form, and followed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps_registry.models import AuditEntry, SigningSecret
from apps_registry.tenancy import tenant
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.models import Alert
from postbacks.models.alerts import MOST_ALERTS
from tests import make
from tests.alerts.scenes import count_attempts, judge_at, make_standing_alert, make_tenant_alert
from tests.api.calling import Program, owner_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def api(gem: make.Tenant) -> Program:
    return owner_of(gem)


def test_a_kind_is_enough_for_an_alert(api: Program) -> None:
    made = api.post("alerts", {"kind": "success_rate"})

    assert made.status == 201, made.data
    assert (made.data["threshold"], made.data["minutes"]) == (90, 15)
    assert made.data["condition"] == (
        "Show on the Overview when fewer than 90 % of the requests of any one rule succeed during "
        "15 minutes."
    )
    assert api.get("alerts", kind="success_rate").data["results"] == [made.data]
    assert api.get("alerts", kind="no_events").data["results"] == []


def test_an_alert_is_changed_and_deleted(gem: make.Tenant, api: Program) -> None:
    made = api.post("alerts", {"kind": "no_events", "app": str(gem.app.public_id)}).data
    changed = api.patch(
        f"alerts/{made['id']}",
        {"minutes": 30, "emails": [gem.owner.email], "quiet_from": "22:00", "quiet_until": "07:00"},
    )

    assert changed.status == 200, changed.data
    assert (changed.data["minutes"], changed.data["quiet_from"]) == (30, "22:00")
    assert gem.owner.email in changed.data["condition"]
    assert api.put(f"alerts/{made['id']}", changed.data).data == changed.data
    assert api.send("DELETE", f"alerts/{made['id']}").status == 204
    assert api.get(f"alerts/{made['id']}").status == 404
    with tenant(gem.organization.pk):
        actions = AuditEntry.objects.filter(object_id=made["id"]).order_by("id")
        assert list(actions.values_list("action", flat=True)) == ["created", "changed", "deleted"]


@pytest.mark.parametrize(
    ("sent", "pointer"),
    [
        ({}, "/kind"),
        ({"kind": "weather"}, "/kind"),
        ({"kind": "success_rate", "threshold": 101}, "/threshold"),
        ({"kind": "success_rate", "minutes": 1}, "/minutes"),
        ({"kind": "no_events", "threshold": 50}, "/threshold"),
        ({"kind": "rule_suspended", "threshold": 60}, "/threshold"),
        ({"kind": "no_events", "emails": ["stranger@example.com"]}, "/emails"),
        ({"kind": "no_events", "quiet_from": "22:00"}, "/quiet_until"),
        ({"kind": "no_events", "quiet_from": "7:61"}, "/quiet_from"),
        ({"kind": "no_events", "webhook_url": "ftp://hooks.example.com"}, "/webhook_url"),
        ({"kind": "no_events", "webhook_url": "http://10.0.0.1/"}, "/webhook_url"),
        ({"kind": "no_events", "webhook_url": "https://169.254.169.254/"}, "/webhook_url"),
        ({"kind": "no_events", "name": ""}, "/name"),
        ({"kind": "no_events", "threshhold": 1}, "/threshhold"),
    ],
)
def test_what_can_not_be_is_refused_at_its_field(
    api: Program, sent: dict[str, object], pointer: str
) -> None:
    refused = api.post("alerts", sent)

    assert refused.status == 400
    assert refused.pointers()[0].startswith(pointer), refused.data


def test_a_scope_belongs_to_the_kind_and_there_is_one(gem: make.Tenant, api: Program) -> None:
    rule = make.make_tenant_rule(gem)
    with tenant(gem.organization.pk):
        partner = make.make_partner()
    both = {"rule": str(rule.public_id), "partner": str(partner.public_id)}

    assert api.post("alerts", {"kind": "success_rate", **both}).pointers() == ["/partner"]
    assert api.post("alerts", {"kind": "no_events", **both}).status == 400


def test_a_name_is_taken_once_and_the_kind_stays(api: Program) -> None:
    made = api.post("alerts", {"kind": "no_events", "name": "A"}).data

    assert api.post("alerts", {"kind": "success_rate", "name": "A"}).pointers() == ["/name"]
    assert api.patch(f"alerts/{made['id']}", {"kind": "success_rate"}).pointers() == ["/kind"]


def test_a_callback_makes_the_first_signing_secret(gem: make.Tenant, api: Program) -> None:
    api.post("alerts", {"kind": "no_events", "webhook_url": "https://hooks.example.com/a"})

    with tenant(gem.organization.pk):
        assert SigningSecret.objects.count() == 1


def test_there_are_so_many_alerts_at_most(gem: make.Tenant, api: Program) -> None:
    with tenant(gem.organization.pk):
        Alert.objects.bulk_create(
            Alert(organization=gem.organization, name=f"A {n}", kind="no_events", minutes=60)
            for n in range(MOST_ALERTS)
        )

    assert api.post("alerts", {"kind": "no_events"}).status == 409


def test_an_alert_of_another_organization_is_not_there(gem: make.Tenant) -> None:
    theirs = make_tenant_alert(make.make_tenant("Moss Valley"))
    api = owner_of(gem)

    for address in ("", "/incidents", "/notices"):
        assert api.get(f"alerts/{theirs.public_id}{address}").status == 404
    assert api.post(f"alerts/{theirs.public_id}/test").status in {404, 503}


def test_incidents_and_notices_are_listed(gem: make.Tenant, api: Program) -> None:
    rule = make.make_tenant_rule(gem)
    with tenant(gem.organization.pk):
        alert = make_standing_alert(rule)

    (incident,) = api.get(f"alerts/{alert.public_id}/incidents", open="true").data["results"]
    (notice,) = api.get(f"alerts/{alert.public_id}/notices", status="pending").data["results"]

    assert (incident["subject"], incident["cleared_at"]) == (rule.name, None)
    assert (notice["topic"], notice["channel"]) == ("alert.raised", "callback")
    assert notice["incident"] == incident["id"]
    assert api.get(f"alerts/{alert.public_id}/incidents", open="false").data["results"] == []
    assert api.get(f"alerts/{alert.public_id}").data["open_incidents"] == 1


def test_a_preview_says_how_often_it_would_have_been_raised(gem: make.Tenant, api: Program) -> None:
    rule = make.make_tenant_rule(gem)
    now = datetime.now(UTC)
    for hours in (30, 20):
        count_attempts(gem, rule.pk, now - timedelta(hours=hours), failed=30)
        count_attempts(gem, rule.pk, now - timedelta(hours=hours - 2), delivered=30)

    preview = api.post("alerts/preview", {"kind": "success_rate"})

    assert preview.status == 200, preview.data
    assert preview.data["raised"] == 2
    assert preview.data["remark"] == "Over the last 7 days this would have been raised twice."


def test_a_test_needs_a_worker(gem: make.Tenant, api: Program) -> None:
    alert = make_tenant_alert(gem, emails=[gem.owner.email])

    assert api.post(f"alerts/{alert.public_id}/test").status == 503


@pytest.mark.usefixtures("test_worker")
def test_a_test_is_queued_on_each_channel(gem: make.Tenant, api: Program) -> None:
    silent = make_tenant_alert(gem, name="Silent")
    alert = make_tenant_alert(gem, emails=[gem.owner.email])

    sent = api.post(f"alerts/{alert.public_id}/test")

    assert sent.status == 202
    assert [notice["topic"] for notice in sent.data["notices"]] == ["alert.test"]
    assert api.post(f"alerts/{silent.public_id}/test").status == 409


@pytest.mark.usefixtures("test_worker")
def test_an_organization_that_tests_its_alerts_too_often_waits(
    gem: make.Tenant, api: Program, settings: Any
) -> None:
    settings.RATE_LIMIT_TESTS = RateLimit(2, 3600)
    alerts = [
        make_tenant_alert(gem, name=f"Alert {number}", emails=[gem.owner.email])
        for number in range(3)
    ]

    answers = [api.post(f"alerts/{alert.public_id}/test") for alert in alerts]

    assert [answer.status for answer in answers] == [202, 202, 429]
    assert api.get(f"alerts/{alerts[2].public_id}/notices").data["results"] == []


def test_a_judged_alert_shows_what_it_found(gem: make.Tenant, api: Program) -> None:
    rule = make.make_tenant_rule(gem)
    alert = make_tenant_alert(gem)
    now = datetime.now(UTC)
    count_attempts(gem, rule.pk, now, delivered=5, failed=15)

    judge_at(now)

    (incident,) = api.get(f"alerts/{alert.public_id}/incidents").data["results"]
    assert (incident["value"], incident["level"]) == (25.0, 0)
