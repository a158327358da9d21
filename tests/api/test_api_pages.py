"""Pages: newest first, forward and back, however many rows come in between."""

import base64
from itertools import chain
from urllib.parse import urlsplit

import pytest

from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import Answer, Program, make_postback, owner_of, report

pytestmark = pytest.mark.django_db(transaction=True)


def _seven_apps(tenant: make.Tenant, api: Program) -> list[str]:
    return [api.post("apps", {"name": f"App {n}", "platform": "ios"}).data["id"] for n in range(7)]


def _seven_events(tenant: make.Tenant, api: Program) -> list[str]:
    return [report(tenant.sdk_key) for _ in range(7)]


def _seven_events_of_one_moment(tenant: make.Tenant, api: Program) -> list[str]:
    events = [{"event_name": "open"} for _ in range(7)]
    return Program(tenant.sdk_key).post("events", events).data["ids"]


def _seven_postbacks(tenant: make.Tenant, api: Program) -> list[str]:
    with tenant_of(tenant.organization.pk):
        rule = make.make_rule()
    return [str(make_postback(rule, report(tenant.sdk_key)).public_id) for _ in range(7)]


LISTS = [
    ("apps", _seven_apps),
    ("events", _seven_events),
    ("events", _seven_events_of_one_moment),
    ("postbacks", _seven_postbacks),
]


@pytest.mark.parametrize(("path", "make_seven"), LISTS)
def test_a_list_is_read_forward_and_back(path, make_seven) -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    if path == "apps":
        api.delete(f"apps/{tenant.app.public_id}")
    made = make_seven(tenant, api)

    first = api.get(path, limit=3)
    second = api.get(first.data["next"])
    third = api.get(second.data["next"])
    back = api.get(third.data["previous"])
    start = api.get(back.data["previous"])

    pages = [_ids(answer) for answer in (first, second, third)]
    assert [len(page) for page in pages] == [3, 3, 1]
    assert sorted(chain(*pages)) == sorted(made)
    if make_seven is not _seven_events_of_one_moment:
        assert list(chain(*pages)) == made[::-1]
    assert first.data["previous"] is None
    assert third.data["next"] is None
    assert _ids(back) == pages[1]
    assert _ids(start) == pages[0]
    assert start.data["previous"] is None
    assert _ids(api.get(start.data["next"])) == pages[1]


def test_addresses_of_pages_are_absolute_and_keep_the_filters() -> None:
    tenant = make.make_tenant()
    for _ in range(3):
        report(tenant.sdk_key, event_name="level_up")
        report(tenant.sdk_key, event_name="purchase")
    api = owner_of(tenant)

    first = api.get("events", event_name="level_up", limit=2)
    second = api.get(first.data["next"])

    assert urlsplit(first.data["next"])[:3] == ("http", "testserver", "/api/v1/events")
    assert [row["event_name"] for row in second.data["results"]] == ["level_up"]


def test_a_row_that_comes_in_between_moves_no_page() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    old = [report(tenant.sdk_key) for _ in range(4)]
    first = api.get("events", limit=2)
    new = report(tenant.sdk_key)

    second = api.get(first.data["next"])
    back = api.get(second.data["previous"])
    newest = api.get(back.data["previous"])

    assert _ids(second) == [old[1], old[0]]
    assert _ids(back) == [old[3], old[2]]
    assert _ids(newest) == [new]
    assert newest.data["previous"] is None


def test_nothing_newer_leads_on_to_the_first_page() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    ids = [report(tenant.sdk_key) for _ in range(2)]

    beyond = api.get(_previous_of_first(api))

    assert (beyond.status, beyond.data["results"], beyond.data["previous"]) == (200, [], None)
    assert _ids(api.get(beyond.data["next"])) == ids[::-1]


def _previous_of_first(api: Program) -> str:
    """Return the address of what is newer than the newest event."""
    second = api.get(api.get("events", limit=1).data["next"])
    first = api.get(second.data["previous"])
    forward = first.data["next"].partition("cursor=")[2].partition("&")[0]
    cursor = _decoded(forward).replace(b"[false", b"[true", 1)
    return "/api/v1/events?cursor=" + base64.urlsafe_b64encode(cursor).decode().rstrip("=")


def _decoded(cursor: str) -> bytes:
    return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many", "1.5", ""])
def test_a_limit_out_of_bounds_is_refused(limit) -> None:
    answer = owner_of(make.make_tenant()).get("apps", limit=limit)

    assert (answer.status, answer.data["errors"][0]["parameter"]) == (400, "limit")


def test_fifty_rows_are_a_page_and_two_hundred_at_most() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    Program(tenant.sdk_key).post("events", [{"event_name": "open"}] * 201)

    assert len(api.rows("events")) == 50
    assert len(api.rows("events", limit=200)) == 200


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "%%%",
        base64.urlsafe_b64encode(b"[false,1]").decode(),
        base64.urlsafe_b64encode(b'[false,-1,"2026-05-04T10:00:00Z"]').decode(),
        base64.urlsafe_b64encode(b'[false,99999999999999999999,"2026-05-04T10:00:00Z"]').decode(),
        base64.urlsafe_b64encode(b'["; DROP TABLE event"]').decode(),
    ],
)
def test_a_cursor_that_is_none_of_ours_is_refused(cursor) -> None:
    answer = owner_of(make.make_tenant()).get("events", cursor=cursor)

    assert (answer.status, answer.data["errors"][0]["parameter"]) == (400, "cursor")


def test_a_cursor_of_another_list_is_refused() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    for _ in range(2):
        report(tenant.sdk_key)
    cursor = api.get("events", limit=1).data["next"].partition("cursor=")[2].partition("&")[0]

    assert api.get("apps", cursor=cursor).status == 400


def _ids(answer: Answer) -> list[str]:
    assert answer.status == 200, answer.data
    return [
        row.get("event_id") if "event_name" in row else row["id"] for row in answer.data["results"]
    ]
