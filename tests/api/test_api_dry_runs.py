"""A dry run: what a rule would have sent for the events of a time, by the code that decides."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.callbacks.rules.versions import definition_from
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, Postback, RuleDevice
from postbacks.rulebook.dry_run import dry_run
from tests import database, make
from tests.api.calling import Program, owner_of, report
from tests.workers import decide_all

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://ads.example.com/?e={{event_name}}&id={{idfa}}"


def _run(made: make.Tenant, rule: CallbackRule, **data: object) -> Any:
    return owner_of(made).post(f"callback-rules/{rule.public_id}/dry-run", data)


def _report(made: make.Tenant, device: str = "d-1", name: str = "purchase", **more: object) -> str:
    return report(made.sdk_key, event_name=name, install_id=device, **more)


def test_it_says_what_would_have_been_sent_newest_first() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL, triggers=["purchase"])
    ids = [_report(made, idfa="A-1"), _report(made, name="open"), _report(made)]

    answer = _run(made, rule, hours=1)

    assert answer.status == 200
    assert (answer.data["events"], answer.data["owed"]) == (3, 2)
    assert answer.data["is_complete"] is True
    assert answer.data["not_matched"] == {"trigger": 1}
    assert [it["event_id"] for it in answer.data["examples"]] == [ids[2], ids[0]]
    assert answer.data["examples"][1]["url"] == "https://ads.example.com/?e=purchase&id=A-1"


@pytest.mark.parametrize(
    "fields",
    [
        {"triggers": ["install"]},
        {"triggers": ["*"], "frequency": "first"},
        {"triggers": ["*"], "frequency": "first", "event_map": {"purchase": "p"}},
        {"window_days": 1},
        {"sampling_percent": 40},
        {"without_consent": "skip"},
        {"url": "https://ads.example.com/?id={{idfa!}}"},
        {"conditions": {"all": [{"field": "revenue", "operator": ">", "value": 3}]}},
        {"attribution_scope": "any_attributed"},
    ],
)
def test_it_says_what_the_pipeline_then_decides(fields: dict[str, Any]) -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, **{"url": URL, **fields})
    for number in range(6):
        device = f"d-{number % 4}"
        _report(made, device, name="open")
        _report(made, device, revenue="4.99" if number % 2 else "1", currency="USD", idfa="A-1")
        _report(made, device, limit_ad_tracking=True)

    foreseen = _run(made, rule).data

    decide_all()
    with tenant(made.organization.pk):
        decided = list(Postback.objects.all())
    owed = [it for it in decided if not it.reason]
    assert foreseen["events"] == 18
    assert foreseen["owed"] == len(owed)
    assert foreseen["skipped"] == Counter(it.reason for it in decided if it.reason)
    total = sum(foreseen["skipped"].values()) + sum(foreseen["not_matched"].values())
    assert foreseen["owed"] + total == 18
    assert {it["event_id"] for it in foreseen["examples"]} <= {str(it.sdk_event_id) for it in owed}


def test_it_writes_nothing() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL, frequency="first")
    _report(made, name="open")
    _report(made)
    before = _rows()

    answer = _run(made, rule)

    assert answer.data["owed"] == 1
    assert _rows() == before


def test_a_device_that_was_served_before_is_not_served_again() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL, frequency="first")
    _report(made)
    decide_all()

    answer = _run(made, rule)

    with tenant(made.organization.pk):
        assert RuleDevice.objects.count() == 1
    assert (answer.data["owed"], answer.data["not_matched"]) == (0, {"first_time": 1})


def test_other_apps_events_are_counted_and_left_alone() -> None:
    made = make.make_tenant()
    _report(made)
    with tenant(made.organization.pk):
        other = make.App.objects.create(name="Other", platform="ios", store_id="99")

    answer = _run(made, make.make_tenant_rule(made, URL, app=other))

    assert (answer.data["owed"], answer.data["not_matched"]) == (0, {"app": 1})


def test_of_more_events_than_it_looks_at_the_newest_count() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    ids = [_report(made) for _ in range(4)]

    with tenant(made.organization.pk):
        run = dry_run(definition_from(rule), datetime.now(UTC) - timedelta(hours=1), most=3)

    assert (run.events, run.would_send, run.is_complete) == (3, 3, False)
    assert [it.event_id for it in run.examples] == ids[:0:-1]


def test_events_from_before_are_left_out() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _report(made)

    answer = _run(made, rule, since=datetime.now(UTC).isoformat())

    assert (answer.data["events"], answer.data["examples"]) == (0, [])


def test_credentials_are_masked() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"key": "s3cret-of-partner"}, allowed_hosts=("ads.example.com",)
        )
    rule = make.make_tenant_rule(
        made, "https://ads.example.com/?k={{credential.key}}", partner=partner
    )
    _report(made)

    answer = _run(made, rule)

    assert answer.data["examples"][0]["url"] == "https://ads.example.com/?k=•••"


@pytest.mark.parametrize(
    "data",
    [
        {"hours": 0},
        {"hours": 9999},
        {"hours": 1, "since": "2026-11-01T00:00:00Z"},
        {"since": "2099-01-01T00:00:00Z"},
        {"since": "1999-01-01T00:00:00Z"},
        {"days": 1},
    ],
)
def test_a_time_that_means_nothing_is_refused(data: dict[str, object]) -> None:
    made = make.make_tenant()

    answer = _run(made, make.make_tenant_rule(made, URL), **data)

    assert answer.status == 400


def test_everybody_who_sets_up_may_ask_and_no_stranger() -> None:
    made, other = make.make_tenant(), make.make_tenant("Merge Meadow")
    rule = make.make_tenant_rule(made, URL)
    with tenant(made.organization.pk):
        marketer = Program(make.make_api_token(Role.MARKETER))
        analyst = Program(make.make_api_token(Role.ANALYST))  # as on the rule's page
    address = f"callback-rules/{rule.public_id}/dry-run"

    answers = [each.post(address).status for each in (marketer, analyst, owner_of(other))]

    assert answers == [200, 403, 404]


def _rows() -> dict[str, str]:
    """Return a fingerprint of each table that the organization's work touches."""
    tables = [model._meta.db_table for model in apps.get_app_config("postbacks").get_models()]
    counts = {}
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        for table in sorted(set(tables) - {"rate_count", "cache_entry"}):
            cursor.execute(f"SELECT md5(string_agg(t::text, '|' ORDER BY t::text)) FROM {table} t")
            counts[table] = cursor.fetchone()[0]
    return counts
