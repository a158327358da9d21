"""Replays over the API: estimated, started once, followed, cancelled."""

from typing import Any

import pytest

from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import CallbackRule, Replay
from tests import make
from tests.api.calling import Program, make_postback, owner_of, program_of, report
from tests.events import postbacks_of
from tests.workers import work_on_replays

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def program(made: make.Tenant) -> Program:
    return owner_of(made)


@pytest.fixture
def rule(made: make.Tenant) -> CallbackRule:
    """Return a rule with two failed postbacks and a delivered one."""
    rule = make.make_tenant_rule(made, rate_limit_per_second=1, name="Purchases")
    for status in ("failed", "failed", "delivered"):
        make_postback(rule, report(made.sdk_key), status=status, attempts=1, attempts_made=1)
    return rule


def test_an_estimate_sends_nothing_and_says_how_many_of_which_rule_and_how_long(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    answer = program.post("replays", {"filter": {"status": "failed"}, "estimate_only": True})

    assert answer.status == 200
    data = answer.data
    assert (data["count"], data["id"], data["seconds"], data["delivered"]) == (2, None, 2, 0)
    assert data["by_rule"] == [
        {
            "rule": str(rule.public_id),
            "name": "Purchases",
            "count": 2,
            "by_status": {"failed": 2},
            "seconds": 2,
            "remark": "",
        }
    ]
    assert data["filter"]["status"] == "failed"
    assert data["filter"]["until"].endswith("Z")
    with tenant_of(made.organization.pk):
        assert not Replay.objects.exists()


def test_a_replay_is_started_once_listed_followed_and_cancelled(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    wish = {"filter": {"status": "failed", "rule": str(rule.public_id)}, "per_second": 5}
    started = program.post("replays", wish)
    again = program.post("replays", wish)

    assert (started.status, again.status) == (202, 202)
    assert again.data["id"] == started.data["id"]
    assert (started.data["count"], started.data["status"]) == (2, "running")
    assert started.data["progress"]["total"] == 2
    address = f"replays/{started.data['id']}"

    work_on_replays()
    progress = program.get(address).data["progress"]
    assert (progress["queued"], progress["done"], progress["percent"]) == (2, 0, 0)

    cancelled = program.post(f"{address}/cancel")
    work_on_replays()
    assert (cancelled.status, cancelled.data["status"]) == (202, "cancelled")
    assert program.get(address).data["progress"]["taken_back"] == 2
    assert {postback.status for postback in postbacks_of(made)} == {"failed", "delivered"}
    assert program.post(f"{address}/cancel").status == 202

    other = program.post("replays", {"filter": {"event_name": "nothing"}})
    assert (other.data["status"], other.data["count"]) == ("finished", 0)
    assert program.post(f"replays/{other.data['id']}/cancel").status == 409
    for status, count in {"running": 0, "cancelled": 1, "finished": 1}.items():
        assert len(program.rows("replays", status=status)) == count, status
    assert [row["id"] for row in program.rows("replays", rule=str(rule.public_id))] == [
        started.data["id"]
    ]
    assert program.get("replays", colour="red").status == 400


def test_what_was_delivered_takes_a_second_word(program: Program, rule: CallbackRule) -> None:
    wish: dict[str, Any] = {"filter": {"status": "delivered"}}
    once = program.post("replays", {**wish, "estimate_only": True})
    assert (once.data["count"], once.data["left_out"]) == (0, {"delivered": 1})

    wish["include_delivered"] = True
    count = program.post("replays", {**wish, "estimate_only": True}).data["count"]
    refused = program.post("replays", wish)

    assert (count, refused.status) == (1, 409)
    assert '"confirm": 1' in refused.data["detail"]
    assert program.post("replays", {**wish, "confirm": 2}).status == 409
    assert program.post("replays", {**wish, "confirm": 1}).status == 202


def test_postbacks_are_replayed_by_id(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    ids = [str(postback.public_id) for postback in postbacks_of(made)]

    answer = program.post("replays", {"ids": ids})
    work_on_replays()

    progress = program.get(f"replays/{answer.data['id']}").data["progress"]
    assert progress["skip_reasons"] == {"delivered": 1}
    assert (progress["queued"], progress["total"]) == (2, 3)


@pytest.mark.parametrize(
    ("wish", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {}, "ids": ["0198c0de-7e57-7000-8000-000000000001"]}, "/filter"),
        ({"ids": []}, "/ids"),
        ({"ids": ["x"]}, "/ids/0"),
        ({"ids": ["0198c0de-7e57-7000-8000-000000000001"] * 1001}, "/ids"),
        ({"filter": "failed"}, "/filter"),
        ({"filter": {"status": "pending"}}, "/filter/status"),
        ({"filter": {"status": "lost"}}, "/filter/status"),
        ({"filter": {"state": "failed"}}, "/filter/state"),
        ({"filter": {"code": "99"}}, "/filter/code"),
        ({"filter": {"rule": "0198c0de-7e57-7000-8000-000000000001"}}, "/filter/rule"),
        ({"filter": {"since": "yesterday"}}, "/filter/since"),
        (
            {"filter": {"since": "2026-05-02T00:00:00Z", "until": "2026-05-01T00:00:00Z"}},
            "/filter/until",
        ),
        ({"filter": {}, "per_second": 0}, "/per_second"),
        ({"filter": {}, "per_second": 501}, "/per_second"),
        ({"filter": {}, "estimate": True}, "/estimate"),
    ],
)
def test_a_wrong_request_is_refused_at_its_place(
    program: Program, wish: dict[str, Any], pointer: str
) -> None:
    answer = program.post("replays", wish)

    assert answer.status in (400, 422)
    assert answer.pointers() == [pointer]


def test_analysts_follow_and_others_start_nothing(
    program: Program, made: make.Tenant, rule: CallbackRule
) -> None:
    replay = program.post("replays", {"filter": {"status": "failed"}}).data
    analyst, marketer = program_of(Role.ANALYST, made), program_of(Role.MARKETER, made)
    stranger = owner_of(make.make_tenant("Moss Valley"))

    assert analyst.get(f"replays/{replay['id']}").status == 200
    assert analyst.post("replays", {"filter": {}}).status == 403
    assert analyst.post(f"replays/{replay['id']}/cancel").status == 403
    assert stranger.get(f"replays/{replay['id']}").status == 404
    assert stranger.post(f"replays/{replay['id']}/cancel").status == 404
    assert marketer.post(f"replays/{replay['id']}/cancel").status == 202
