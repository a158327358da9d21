"""A dry run: what a rule would have sent for the events of a time, by the code that decides."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from typing import Any

import psycopg
import pytest
from django.apps import apps
from django.db import connection

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import jobs, roles
from postbacks.models import CallbackRule, DryRunJob, Postback, RuleDevice
from postbacks.rulebook import dry_run as past
from tests import database, make
from tests.admin.pages import sign_in
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


def test_of_more_events_than_it_looks_at_the_newest_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "BATCH", 2)
    monkeypatch.setattr(past, "MOST_EVENTS", 3)
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    ids = [_report(made) for _ in range(4)]

    begun = _run(made, rule)
    _work()
    ended = owner_of(made).get(f"callback-rules/{rule.public_id}/dry-run").data

    assert begun.status == 202
    assert (ended["events"], ended["owed"], ended["is_complete"]) == (3, 3, False)
    assert [example["event_id"] for example in ended["examples"]] == ids[:0:-1]


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


def _many(made: make.Tenant, count: int = 201) -> None:
    events = [{"event_name": "purchase", "install_id": f"d-{n}"} for n in range(count)]
    assert Program(made.sdk_key).post("events", events).status == 202


def _work(seconds: float = 45.0) -> None:
    with database.as_role(roles.WORKER):
        past.work(seconds)


def test_more_than_a_batch_is_tried_in_the_background() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL, triggers=["purchase"])
    _many(made)
    address = f"callback-rules/{rule.public_id}/dry-run"

    begun = _run(made, rule)
    waiting = owner_of(made).get(address)
    _work()
    ended = owner_of(made).get(address)

    assert (begun.status, begun.data["status"], begun.data["done"]) == (202, "running", 0)
    assert waiting.data["id"] == begun.data["id"]
    assert (ended.data["status"], ended.data["percent"]) == ("finished", 100)
    assert (ended.data["events"], ended.data["owed"]) == (201, 201)
    assert ended.data["is_complete"] is True
    assert len(ended.data["examples"]) == 10
    assert owner_of(made).delete(address).data["status"] == "finished"
    assert owner_of(make.make_tenant()).get(address).status == 404


def test_it_is_cancelled_and_stops() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _many(made)
    address = f"callback-rules/{rule.public_id}/dry-run"
    _run(made, rule)

    cancelled = owner_of(made).delete(address)
    _work()

    assert (cancelled.status, cancelled.data["status"]) == (200, "cancelled")
    assert owner_of(made).get(address).data["done"] == 0


def test_only_what_no_living_worker_does_is_begun_again_and_that_at_once() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _many(made)
    address = f"callback-rules/{rule.public_id}/dry-run"
    _run(made, rule)

    with (
        database.as_role(roles.WORKER),
        psycopg.connect(database.superuser_conninfo(), autocommit=True) as other_worker,
    ):
        with tenant(made.organization.pk):
            job = DryRunJob.objects.get()
        other_worker.execute(jobs._TRY_LOCK, ["dry_run_job", job.pk])
        past.work()
    assert owner_of(made).get(address).data["done"] == 0
    _work()  # the other one has died

    assert owner_of(made).get(address).data["status"] == "finished"


@pytest.mark.parametrize(("kills", "status"), [(0, "finished"), (1, "finished"), (2, "given_up")])
def test_one_that_has_killed_two_workers_is_given_up_and_its_owner_sees_it(
    kills: int, status: str
) -> None:
    made, other = make.make_tenant(), make.make_tenant()
    rule, theirs = make.make_tenant_rule(made, URL), make.make_tenant_rule(other, URL)
    for of in (made, other):
        _many(of)
    id_ = _run(made, rule).data["id"]
    for _ in range(kills):
        with database.as_role(roles.WORKER), tenant(made.organization.pk):
            assert DryRunJob.begin_turn(made.organization.pk, DryRunJob.objects.get().pk)
    _run(other, theirs)

    _work()
    _work()

    address = f"callback-rules/{rule.public_id}/dry-run"
    ended = owner_of(made).get(address).data
    assert (ended["status"], ended["is_complete"]) == (status, status == "finished")
    others = owner_of(other).get(f"callback-rules/{theirs.public_id}/dry-run").data
    assert others["status"] == "finished"
    page = sign_in(made.owner).get(f"/admin/postbacks/callbackrule/dry-run/?job={id_}")
    assert ("The dry run was given up." in page.content.decode()) == (status == "given_up")


def test_it_ends_with_its_time_and_says_so() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _many(made)
    _run(made, rule)

    _work(seconds=0)

    ended = owner_of(made).get(f"callback-rules/{rule.public_id}/dry-run").data
    assert (ended["status"], ended["is_complete"]) == ("out_of_time", False)


def test_an_organization_has_two_at_once_and_others_have_theirs() -> None:
    made, other = make.make_tenant(), make.make_tenant()
    rule, theirs = make.make_tenant_rule(made, URL), make.make_tenant_rule(other, URL)
    _many(made)
    _many(other)

    answers = [_run(made, rule) for _ in range(3)]

    assert [answer.status for answer in answers] == [202, 202, 429]
    assert answers[-1].headers["Retry-After"] == "10"
    assert _run(other, theirs).status == 202


def test_the_page_follows_it_and_cancels_it() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _many(made)
    id_ = _run(made, rule).data["id"]
    address = f"/admin/postbacks/callbackrule/dry-run/?job={id_}"
    browser = sign_in(made.owner)

    running = browser.get(address)
    cancelled = browser.post(address, follow=True)

    assert running.headers["Refresh"] == "2"
    assert "Cancel the dry run" in running.content.decode()
    assert "Cancelled." in cancelled.content.decode()
    assert sign_in(make.make_tenant().owner).get(address).status_code == 404


def test_what_it_found_goes_after_an_hour() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    _many(made)
    _run(made, rule)
    with database.as_role(roles.WORKER), tenant(made.organization.pk):
        hours_ago = datetime.now(UTC) - timedelta(hours=2)
        DryRunJob.objects.update(finished_at=hours_ago, created_at=hours_ago)

    with database.as_role(roles.WORKER):
        assert past.is_any_due()
        past.work()
        assert not past.is_any_due()


def test_a_run_that_takes_longer_than_a_second_goes_on_step_by_step_in_the_background(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No time at all for anything: each step decides one event, and shows that it lives."""
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL, frequency="first")
    for device in ("a", "a", "b", "c"):
        report(made.sdk_key, install_id=f"device-{device}")
    at_once = _run(made, rule).data
    monkeypatch.setattr(past, "_SECONDS_AT_ONCE", 0.0)
    monkeypatch.setattr(past, "_STEP_SECONDS", 0.0)
    signs: list[int] = []

    begun = _run(made, rule)
    with database.as_role(roles.WORKER):
        past.work(show_life=lambda: signs.append(1))
    ended = owner_of(made).get(f"callback-rules/{rule.public_id}/dry-run").data

    assert begun.status == 202
    assert len(signs) == 4
    assert (ended["status"], ended["done"], ended["total"]) == ("finished", 4, 4)
    assert {name: ended[name] for name in at_once if name != "since"} == {
        name: at_once[name] for name in at_once if name != "since"
    }
    assert ended["not_matched"] == {"first_time": 1}


def test_a_rule_without_a_run_in_the_background_is_answered_404() -> None:
    made = make.make_tenant()
    address = f"callback-rules/{make.make_tenant_rule(made, URL).public_id}/dry-run"

    assert owner_of(made).get(address).status == 404
    assert owner_of(made).delete(address).status == 404


def test_each_run_is_followed_and_cancelled_by_its_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "_SECONDS_AT_ONCE", 0.0)
    made = make.make_tenant()
    rule, another = (make.make_tenant_rule(made, URL) for _ in range(2))
    report(made.sdk_key)
    report(made.sdk_key)
    address = f"callback-rules/{rule.public_id}/dry-run"
    first, second = _run(made, rule).data["id"], _run(made, rule).data["id"]

    cancelled = owner_of(made).delete(f"{address}?id={first}").data
    follows = owner_of(made).get(address, id=second).data
    newest = owner_of(made).get(address).data
    elsewhere = owner_of(made).get(f"callback-rules/{another.public_id}/dry-run", id=first)

    assert (cancelled["id"], cancelled["status"]) == (first, "cancelled")
    assert (follows["id"], follows["status"]) == (newest["id"], "running") == (second, "running")
    assert elsewhere.status == 404


def test_who_starts_and_cancels_all_the_time_has_twenty_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "MOST_KEPT", 3)
    monkeypatch.setattr(past, "_SECONDS_AT_ONCE", 0.0)
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    report(made.sdk_key)
    report(made.sdk_key)

    ids = []
    for _ in range(6):
        ids.append(_run(made, rule).data["id"])
        owner_of(made).delete(f"callback-rules/{rule.public_id}/dry-run")

    with tenant(made.organization.pk):
        kept = DryRunJob.objects.order_by("id").values_list("public_id", flat=True)
        assert [str(public_id) for public_id in kept] == ids[-3:]


def test_a_process_that_tries_as_many_as_it_may_leaves_more_to_the_worker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(past, "_places", lambda: BoundedSemaphore(0))
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    report(made.sdk_key)

    answers = [_run(made, rule).status for _ in range(3)]

    assert answers == [202, 202, 429]


def test_examples_that_take_long_are_fewer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(past, "_EXAMPLES_SECONDS", 0.0)
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, URL)
    report(made.sdk_key)
    report(made.sdk_key)

    answer = _run(made, rule).data

    assert (answer["owed"], len(answer["examples"])) == (2, 1)
