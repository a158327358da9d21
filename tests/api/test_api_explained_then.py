"""“Why” is judged by what held when the event was decided, and says what differs today."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import psycopg
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import Lifecycle, tenant
from postbacks.models import CallbackRule, Event, Postback, RuleStatus
from postbacks.rulebook import saving
from tests import database, make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of, report
from tests.touches import GAID, make_network, touch
from tests.workers import decide_all, work

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://ads.example.com/?e={{event_name}}"


@pytest.fixture
def gem() -> make.Tenant:
    return make.make_tenant()


def _purchase(gem: make.Tenant, **fields: object) -> str:
    event_id = report(gem.sdk_key, event_name="purchase", install_id="d-1", **fields)
    decide_all()
    return event_id


def _save(gem: make.Tenant, rule: CallbackRule, **changes: object) -> None:
    with tenant(gem.organization.pk):
        for name, value in changes.items():
            setattr(rule, name, value)
        saving.save(rule, by=None)


def _explained(gem: make.Tenant, event_id: str) -> dict[str, Mapping[str, Any]]:
    answer = owner_of(gem).get(f"events/{event_id}/explain")
    assert answer.status == 200
    return {row["rule"]: row for row in answer.data}


def _reasons(gem: make.Tenant, event_id: str, rule: CallbackRule) -> dict[str, str]:
    explained = _explained(gem, event_id)[str(rule.public_id)]
    return {reason["code"]: reason["detail"] for reason in explained["reasons"]}


def _page(gem: make.Tenant, event_id: str) -> str:
    with tenant(gem.organization.pk):
        pk = Event.objects.get(event_id=event_id).pk
    return sign_in(gem.owner).get(f"/admin/postbacks/event/{pk}/change/").content.decode()


@pytest.mark.parametrize(
    ("then", "today", "codes"),
    [
        ({"triggers": ["install"]}, {"triggers": ["purchase"]}, ["trigger", "changed_since"]),
        (
            {"conditions": {"all": [{"field": "country", "operator": "=", "value": "DE"}]}},
            {"conditions": {"all": []}},
            ["condition", "changed_since"],
        ),
        ({"sampling_percent": 0}, {"sampling_percent": 100}, ["sampling", "changed_since"]),
        ({"window_days": 3}, {"window_days": None}, ["window", "changed_since"]),
        (
            {"attribution_scope": "any_attributed"},
            {"attribution_scope": "everyone"},
            ["attribution_scope", "changed_since"],
        ),
        ({"triggers": ["install"]}, {"triggers": ["open"]}, ["trigger"]),
        ({"triggers": ["install"]}, {"url": "https://new.example.com/"}, ["trigger"]),
        ({"triggers": ["install"]}, {"status": RuleStatus.PAUSED}, ["trigger"]),
        (
            {"triggers": ["install"]},
            {"triggers": ["purchase"], "status": RuleStatus.PAUSED},
            ["trigger"],
        ),
        ({"status": RuleStatus.PAUSED}, {"status": RuleStatus.ACTIVE}, ["paused", "changed_since"]),
        ({"status": RuleStatus.DRAFT}, {"status": RuleStatus.ACTIVE}, ["draft", "changed_since"]),
        ({"status": RuleStatus.DRAFT}, {"status": RuleStatus.PAUSED}, ["draft"]),
        ({"status": RuleStatus.SUSPENDED, "triggers": ["install"]}, {}, ["trigger"]),
        ({"triggers": ["install"]}, {"status": RuleStatus.SUSPENDED}, ["trigger"]),
        (
            {"status": RuleStatus.PAUSED, "triggers": ["install"]},
            {"status": RuleStatus.ACTIVE},
            ["paused", "trigger"],
        ),
    ],
)
def test_a_rule_that_sent_nothing_is_judged_as_it_was(
    gem: make.Tenant, then: dict[str, object], today: dict[str, object], codes: list[str]
) -> None:
    rule = make.make_tenant_rule(gem, URL, **then)
    event_id = _purchase(gem, country="AT")
    _save(gem, rule, **today)

    reasons = _reasons(gem, event_id, rule)

    assert list(reasons) == codes
    if "changed_since" in codes:
        assert reasons["changed_since"].startswith("Decided today, it would be sent")


def test_the_sentences_name_both_versions_and_speak_of_then(gem: make.Tenant) -> None:
    edited = make.make_tenant_rule(gem, URL, name="Edited", triggers=["install"])
    paused = make.make_tenant_rule(gem, URL, name="Switched", status=RuleStatus.PAUSED)
    event_id = _purchase(gem)
    _save(gem, edited, triggers=["purchase"])
    _save(gem, paused, status=RuleStatus.ACTIVE)

    page = _page(gem, event_id)

    expected = (
        "The rule is for install; the event is purchase.",
        "Decided today, it would be sent: the event was judged by version 1, today it is "
        "version 2.",
        "The rule was paused.",
        "Decided today, it would be sent: the rule is on today.",
    )
    for sentence in expected:
        assert sentence in page
    assert set(_reasons(gem, event_id, edited).values()) == set(expected[:2])
    assert set(_reasons(gem, event_id, paused).values()) == set(expected[2:])


def test_an_archived_rule_stays_in_the_explanation_of_its_time(gem: make.Tenant) -> None:
    before = make.make_tenant_rule(gem, URL, name="Gone before")
    _save(gem, before, status=RuleStatus.ARCHIVED)
    sent = make.make_tenant_rule(gem, URL, name="Sent")
    silent = make.make_tenant_rule(gem, URL, name="Silent", triggers=["install"])
    event_id = _purchase(gem)
    with database.as_role("postbacks_worker"), tenant(gem.organization.pk):
        Postback.objects.update(status="delivered", attempts_made=1)
    for rule in (sent, silent):
        _save(gem, rule, status=RuleStatus.ARCHIVED)
    after = make.make_tenant_rule(gem, URL, name="Made and gone after")
    _save(gem, after, status=RuleStatus.ARCHIVED)

    explained = _explained(gem, event_id)

    assert {row["rule_name"] for row in explained.values()} == {"Sent", "Silent"}
    assert explained[str(sent.public_id)]["decision"] == "sent"
    assert _reasons(gem, event_id, silent) == {
        "trigger": "The rule is for install; the event is purchase."
    }
    assert _reasons(gem, event_id, sent) == {
        "delivered": "The partner took it.",
        "changed_since": "Decided today, it would not be sent: the rule was archived.",
    }
    page = _page(gem, event_id)
    assert "Silent" in page
    assert "Archived since" in page
    rule_page = sign_in(gem.owner).get(f"/admin/postbacks/callbackrule/{silent.pk}/change/")
    assert rule_page.status_code == 200
    assert "Decided today, it would not be sent: the rule was archived." in page


def test_a_partner_counts_as_it_was(gem: make.Tenant) -> None:
    with tenant(gem.organization.pk):
        gone, going = make.make_partner(), make.make_partner()
    was_gone = make.make_tenant_rule(gem, URL, partner=gone)
    was_there = make.make_tenant_rule(gem, URL, partner=going, triggers=["install"])
    with tenant(gem.organization.pk):
        gone.status = Lifecycle.ARCHIVED
        gone.save()
    event_id = _purchase(gem)
    with tenant(gem.organization.pk):
        gone.status = Lifecycle.ACTIVE
        gone.save()
        going.status = Lifecycle.ARCHIVED
        going.save()

    assert list(_reasons(gem, event_id, was_gone)) == ["partner_archived", "changed_since"]
    assert list(_reasons(gem, event_id, was_there)) == ["trigger"]


@pytest.mark.parametrize(
    ("then", "fields", "today", "code"),
    [
        ({"event_map": {"install": "i"}}, {}, {"event_map": {}}, "not_mapped"),
        (
            {"url": f"{URL}&d={{{{idfv!}}}}"},
            {},
            {"url": f"{URL}&d={{{{idfv}}}}"},
            "missing_macro",
        ),
        (
            {"without_consent": "skip"},
            {"limit_ad_tracking": True},
            {"without_consent": "strip"},
            "no_consent",
        ),
    ],
)
def test_a_skip_says_that_the_rule_of_today_would_send_it(
    gem: make.Tenant,
    then: dict[str, object],
    fields: dict[str, object],
    today: dict[str, object],
    code: str,
) -> None:
    url = {"url": URL, **then}
    rule = make.make_tenant_rule(gem, str(url.pop("url")), **url)
    event_id = _purchase(gem, **fields)

    before = _reasons(gem, event_id, rule)
    _save(gem, rule, **today)
    after = _reasons(gem, event_id, rule)

    assert list(before) == [code]
    assert list(after) == [code, "changed_since"]


def test_the_credit_of_that_time_decides(gem: make.Tenant) -> None:
    _, link = make_network(gem)
    rule = make.make_tenant_rule(
        gem, URL, attribution_scope="any_attributed", triggers=["purchase"]
    )
    report(gem.sdk_key, event_name="open", install_id="d-1", gaid=GAID)
    work()
    event_id = _purchase(gem)
    touch(gem, link)
    work()

    reasons = _reasons(gem, event_id, rule)

    assert list(reasons) == ["attribution_scope", "changed_since"]
    assert reasons["attribution_scope"].endswith("this one is organic.")
    assert "the install is credited otherwise today" in reasons["changed_since"]


def test_an_event_that_waited_is_judged_by_the_moment_of_its_decision(gem: make.Tenant) -> None:
    make.make_tenant_rule(gem, URL, name="Sends and tells when")
    rule = make.make_tenant_rule(gem, URL, name="Edited while it waited")
    event_id = report(gem.sdk_key, event_name="purchase", install_id="d-1")
    _save(gem, rule, triggers=["install"])
    decide_all()

    assert list(_reasons(gem, event_id, rule)) == ["trigger"]


def test_where_the_audit_log_does_not_reach_it_says_so(gem: make.Tenant) -> None:
    turned_on = make.make_tenant_rule(gem, URL, status=RuleStatus.PAUSED)
    seen_paused = make.make_tenant_rule(gem, URL, status=RuleStatus.PAUSED)
    refusing = make.make_tenant_rule(gem, URL, triggers=["install"])
    event_id = _purchase(gem)
    _save(gem, turned_on, status=RuleStatus.ACTIVE)
    _cut_audit_log(gem)
    _save(gem, seen_paused, status=RuleStatus.ACTIVE)

    reasons = _reasons(gem, event_id, turned_on)

    assert list(reasons) == ["log_too_short"]
    assert "after the event" in reasons["log_too_short"]
    assert list(_reasons(gem, event_id, refusing)) == ["trigger", "log_too_short"]
    assert list(_reasons(gem, event_id, seen_paused)) == [
        "paused",
        "log_too_short",
        "changed_since",
    ]


def _cut_audit_log(gem: make.Tenant) -> None:
    """Have no entry from before now, as after an update from a version without an audit log."""
    with psycopg.connect(database.superuser_conninfo()) as superuser:
        superuser.execute("SET session_replication_role = replica")
        superuser.execute(
            "DELETE FROM audit_entry WHERE organization_id = %s", [gem.organization.pk]
        )


def test_where_no_version_is_old_enough_it_says_so(gem: make.Tenant) -> None:
    rule = make.make_tenant_rule(gem, URL, triggers=["install"])
    event_id = _purchase(gem)
    with psycopg.connect(database.superuser_conninfo()) as superuser:
        superuser.execute(
            "UPDATE callback_rule_version SET created_at = %s WHERE rule_id = %s",
            [datetime.now().astimezone(), rule.pk],
        )

    assert list(_reasons(gem, event_id, rule)) == ["trigger", "version_unknown"]


def test_a_rule_made_later_says_what_it_would_do(gem: make.Tenant) -> None:
    event_id = _purchase(gem)
    wanting = make.make_tenant_rule(gem, URL)
    refusing = make.make_tenant_rule(gem, URL, triggers=["install"])

    assert _reasons(gem, event_id, wanting) == {
        "rule_is_newer": "The rule was made after the event arrived. Today it would be sent."
    }
    assert list(_reasons(gem, event_id, refusing)) == ["rule_is_newer", "trigger"]


def test_explaining_takes_as_many_statements_for_many_rules_as_for_few(gem: make.Tenant) -> None:
    def make_rules(count: int) -> None:
        for _ in range(count):
            make.make_tenant_rule(gem, URL, frequency="first")
            make.make_tenant_rule(gem, URL, triggers=["install"])

    make_rules(1)
    few = _purchase(gem)
    with CaptureQueriesContext(connection) as before:
        _explained(gem, few)
    make_rules(8)
    many = _purchase(gem)

    with CaptureQueriesContext(connection) as after:
        _explained(gem, many)

    assert len(after) <= len(before) + 1
