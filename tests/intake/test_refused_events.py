"""What the SDK's doors refuse leaves a trace: bounded, counted, without personal values."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from django.db import OperationalError
from django.test import Client

from apps_registry.models import SdkKey
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.infrastructure.database import roles
from postbacks.infrastructure.rate_limits.counting import RateLimit
from postbacks.intake import refused_events
from postbacks.intake.masking import masked_body, masked_item
from postbacks.models import RefusalCount, RefusalReason, RefusedEvent
from postbacks.models.refused_events import LONGEST_CONTENT
from postbacks.privacy import erasure, retention
from postbacks.privacy.requests import DeviceToErase, request_erasure
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import owner_of
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

IDFA = "38400000-8CF0-11BD-B23E-10B96E40000D"
PERSONAL = {
    "idfa": IDFA,
    "customer_user_id": "anna.schmidt@example.com",
    "ip_address": "203.0.113.77",
    "user_agent": "Mozilla/5.0 (Pixel 8)",
    "click_id": "Cj0KCQiA-click",
    "transaction_id": "GPA.3372-4150",
    "install_referrer": "utm_source=anna&gclid=secretgclid",
    "params": {"email": "anna@example.com", "phone": 4917012345678, "nested": {"name": "Anna"}},
}
SECRETS = (
    *(IDFA, IDFA.lower(), "anna", "203.0.113.77", "Pixel", "Cj0KCQiA", ".3372-", "secretgclid"),
    *("4917012345678", "Anna"),
)


@pytest.fixture
def of() -> Iterator[make.Tenant]:
    refused_events.log.clear()
    yield make.make_tenant("Gem Harbor")
    refused_events.log.clear()


def _post(key: str, body: Any, path: str = "/api/v1/events", **headers: str) -> Any:
    data = body if isinstance(body, bytes | str) else json.dumps(body)
    sender = Client(headers={"Authorization": f"Bearer {key}"} | headers)
    return sender.generic("POST", path, data, "application/json")


def _kept(of: make.Tenant) -> list[RefusedEvent]:
    refused_events.log.flush()
    with tenant(of.organization.pk):
        return list(RefusedEvent.objects.order_by("pk"))


def _counted(of: make.Tenant) -> dict[tuple[str, str, str], tuple[int, int]]:
    with tenant(of.organization.pk):
        return {
            (row.reason, row.pointer, row.sdk_version): (row.refused, row.kept)
            for row in RefusalCount.objects.all()
        }


def _event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", "sdk_version": "2.1.0", **fields}


def test_an_item_that_was_refused_is_kept_with_its_answer_and_without_personal_values(
    of: make.Tenant,
) -> None:
    answer = _post(of.sdk_key, [_event(), _event(revenue="nine", **PERSONAL)])

    (row,) = _kept(of)
    assert (answer.status_code, row.status_code, row.index) == (202, 202, 1)
    assert (row.reason, row.pointer) == (RefusalReason.INVALID_FIELD, "/revenue")
    assert (row.event_name, row.sdk_version, row.door) == ("purchase", "2.1.0", "events")
    assert row.errors == answer.json()["rejected"][0]["errors"]
    content = json.loads(row.content)
    assert content["revenue"] == "nine"
    assert content["idfa"] == "99999999-9xx9-99xx-x99x-99x99x99999x"
    assert content["params"]["phone"] == 9999999999999
    assert not [secret for secret in SECRETS if secret in row.content]
    assert _counted(of) == {("invalid_field", "/revenue", "2.1.0"): (1, 1)}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("idfa", 4917012345678),
        ("customer_user_id", 4917012345678),
        ("ip_address", "anna@example.com"),
        ("event_id", "anna@example.com"),
        ("event_name", "anna@example.com\x07"),
        ("country", "+49 170 1234567"),
        ("currency", IDFA),
        ("click_id", {"anna": IDFA}),
        ("params", "anna@example.com"),
        ("bundle_id", "anna@example.com"),
    ],
)
def test_an_answer_that_quotes_a_personal_value_is_kept_masked(
    of: make.Tenant, field: str, value: object
) -> None:
    answer = _post(of.sdk_key, {**_event(), field: value})

    kept = _kept(of)
    assert answer.status_code in {400, 422}, answer.content
    text = json.dumps([[row.errors, row.content, row.pointer] for row in kept])
    hidden = ("anna", IDFA, "4917012345678", "170 1234567")
    assert len(kept) == 1
    assert not [secret for secret in hidden if secret in text], text


def _revoked(of: make.Tenant) -> None:
    with tenant(of.organization.pk):
        SdkKey.objects.get(kind="server").revoke()


def _ended(of: make.Tenant) -> None:
    with tenant(of.organization.pk):
        SdkKey.objects.filter(kind="server").update(
            expires_at=datetime.now(UTC) - timedelta(days=1)
        )


def _archived(of: make.Tenant) -> None:
    with tenant(of.organization.pk):
        of.app.status = Lifecycle.ARCHIVED
        of.app.save(update_fields=["status"])


_WHOLE: dict[str, tuple[Callable[[make.Tenant], object], Any, int, str]] = {
    "revoked": (_revoked, [PERSONAL | _event()], 403, "key_revoked"),
    "ended": (_ended, {"events": [PERSONAL | _event()]}, 403, "key_ended"),
    "archived": (_archived, PERSONAL | _event(), 403, "app_archived"),
    "broken": (lambda _: None, b'{"idfa": "' + IDFA.encode() + b'", anna}', 400, "unreadable_body"),
    "empty": (lambda _: None, b"", 400, "unreadable_body"),
    "no_item": (lambda _: None, [], 422, "invalid_request"),
    "late_clock": (
        lambda _: None,
        {"sent_at": "today", "events": [_event()]},
        422,
        "invalid_request",
    ),
    "too_many": (lambda _: None, [{}] * 1001, 413, "too_large"),
    "repeated": (lambda _: None, b'{"idfa": 1, "idfa": "anna"}', 400, "unreadable_body"),
}


@pytest.mark.parametrize("case", _WHOLE)
@pytest.mark.parametrize("door", ["events", "touchpoints"])
def test_a_request_that_is_refused_as_a_whole_is_kept(
    of: make.Tenant, case: str, door: str
) -> None:
    prepare, body, status, reason = _WHOLE[case]
    if door == "touchpoints":
        if case == "late_clock":
            return  # only events have one
        body = {"touchpoints": body["events"]} if case in {"ended"} else body
    prepare(of)

    answer = _post(of.sdk_key, body, f"/api/v1/{door}")

    (row,) = _kept(of)
    assert (answer.status_code, row.status_code, row.reason) == (status, status, reason), (
        answer.content
    )
    assert (row.door, row.index) == (door, None)
    assert len(row.content.encode()) <= LONGEST_CONTENT
    assert not [secret for secret in SECRETS if secret in row.content + str(row.errors)]


def test_other_doors_and_codings_of_a_body_are_covered(of: make.Tenant) -> None:
    _post(of.sdk_key, gzip.compress(b"{"), **{"Content-Encoding": "gzip"})
    _post(of.sdk_key, b"{}", **{"Content-Encoding": "br"})
    _post(of.sdk_key, {"kind": "tap", "link": "x", "gps_adid": IDFA}, "/api/v1/touchpoints")
    _post(of.sdk_key, {"idfb": IDFA}, "/api/v1/forget-device")
    Client().get("/v0/event", {"api_key": of.sdk_key, "event": "", "advertising_id": IDFA})
    Client().get("/v0/purchase", {"api_key": of.sdk_key, "price": "anna", "currency": "EUR"})
    unattributable = Client(headers={"Authorization": "Bearer pbk_unknown"}).post("/api/v1/events")

    rows = _kept(of)
    assert unattributable.status_code == 401
    doors = [(row.door, row.status_code, row.reason) for row in rows]
    assert doors[:4] == [
        ("events", 400, "unreadable_body"),
        ("events", 415, "unreadable_body"),
        ("touchpoints", 422, "invalid_field"),
        ("forget-device", 400, "invalid_field"),
    ]
    assert {door for door, _, _ in doors[4:]} == {"tenjin"}
    text = json.dumps([[row.errors, row.content, row.pointer] for row in rows])
    assert of.sdk_key not in text
    assert IDFA not in text


def test_a_flood_is_counted_and_keeps_few_rows(
    of: make.Tenant, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refused_events, "ROWS_PER_SECOND", 3)
    settings.WEB_CONCURRENCY = 1
    _post(of.sdk_key, [_event(revenue="nine")] * 50)
    assert len(_kept(of)) == 3
    assert _counted(of) == {("invalid_field", "/revenue", "2.1.0"): (50, 3)}

    monkeypatch.setattr(refused_events, "ROWS_PER_SECOND", 100)
    monkeypatch.setattr(refused_events, "ROWS_PER_DAY", 5)
    for _ in range(2):
        _post(of.sdk_key, [_event(revenue="nine")] * 10)
        refused_events.log.flush()
    assert len(_kept(of)) == 5
    assert _counted(of) == {("invalid_field", "/revenue", "2.1.0"): (70, 5)}


def test_counters_are_bounded_too(of: make.Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refused_events, "MOST_COUNTERS_A_DAY", 4)
    _post(of.sdk_key, [_event(revenue="nine", sdk_version=f"1.{n}") for n in range(20)])
    refused_events.log.flush()

    counted = _counted(of)
    assert len(counted) == 5
    assert counted["invalid_field", "…", "…"][0] == 16


def test_what_waits_for_the_end_of_an_outage_is_bounded(
    of: make.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    def report(second: int) -> None:
        versions = [f"1.{second}.{number}" for number in range(5)]
        _post(of.sdk_key, [_event(revenue="nine", sdk_version=each) for each in versions])

    def fail(*_: object) -> None:
        report(next(seconds))  # others arrive meanwhile
        raise OperationalError

    monkeypatch.setattr(refused_events, "MOST_COUNTERS", 3)
    seconds = count()
    report(next(seconds))
    with monkeypatch.context() as outage:
        outage.setattr(refused_events.log, "_write", fail)
        for _ in range(3):
            refused_events.log.flush()
    _kept(of)

    assert len(_counted(of)) <= 6


def test_too_many_calls_are_counted_alone(of: make.Tenant, settings: Any) -> None:
    settings.RATE_LIMIT_SDK_SERVER = RateLimit(3, 3600)
    answers = {_post(of.sdk_key, _event()).status_code for _ in range(12)}

    assert 429 in answers
    assert _kept(of) == []
    ((reason, _, _),) = _counted(of)
    assert reason == "too_fast"


def test_nothing_is_written_before_the_answer(of: make.Tenant) -> None:
    _post(of.sdk_key, _event(revenue="nine"))

    with tenant(of.organization.pk):
        assert not RefusedEvent.objects.exists()
    assert len(_kept(of)) == 1


def test_a_row_is_bounded_however_large_the_item_is(of: make.Tenant) -> None:
    large = _event(revenue="nine", params={f"p{n}": "ä" * 800 for n in range(200)})
    deep: object = 1
    for _ in range(7):
        deep = {"a": [deep] * 2}
    _post(of.sdk_key, [large, _event(revenue="nine", params={"deep": deep})])

    rows = _kept(of)
    assert [len(row.content.encode()) <= LONGEST_CONTENT for row in rows] == [True, True]
    assert all(row.is_cut for row in rows)
    assert masked_item([10**5000, float("nan"), None, True], 100)[0]
    assert masked_body('{"idfa": "Ab-1", "anna"') == '{"idfa": "xx-9", "xxxx"'


def test_nothing_of_an_erased_device_is_found(of: make.Tenant) -> None:
    hashed = sha1(IDFA.lower().encode(), usedforsecurity=False).hexdigest()
    refused = [
        _event(revenue="nine", idfa=IDFA),
        _event(revenue="nine", advertising_id=IDFA.replace("-", "").lower()),
        _event(revenue="nine", params={"sha1_idfa": hashed}),
    ]
    other = _event(revenue="nine", idfa=str(uuid4()))
    _post(of.sdk_key, [*refused, other])
    assert len(_kept(of)) == 4
    with as_role(roles.WORKER):
        with tenant(of.organization.pk):
            request_erasure(DeviceToErase(of.organization.pk, of.app.pk, {"idfa": IDFA}))
        erasure.work(10, last_pass_after=timedelta())
    assert [row.pointer for row in _kept(of)] == ["/revenue"]

    _post(of.sdk_key, [*refused, _event(idfa=IDFA)])
    later = _kept(of)[1:]
    assert [(row.reason, row.content, row.keys) for row in later] == [
        ("invalid_field", "", []),
        ("invalid_field", "", []),
        ("invalid_field", "", []),
        ("device_forgotten", "", []),
    ]


def test_rows_and_counters_are_kept_a_week(of: make.Tenant) -> None:
    _post(of.sdk_key, _event(revenue="nine"))
    refused_events.log.flush()
    with as_role(roles.WORKER), tenant(of.organization.pk):
        assert retention.delete_old_refusals() == 0
        old = datetime.now(UTC) - timedelta(days=8)
        RefusedEvent.objects.update(received_at=old)
        RefusalCount.objects.update(day=old.date())
        assert retention.delete_old_refusals() == 2


def test_both_doors_show_what_was_refused(of: make.Tenant) -> None:
    _post(of.sdk_key, [_event(revenue="nine", **PERSONAL), _event(currency="XXXX")])
    _post(of.sdk_key, b"{")
    rows = _kept(of)
    program = owner_of(of)

    listed = program.rows("refused-events")
    assert [row["id"] for row in listed] == [str(row.public_id) for row in reversed(rows)]
    assert program.get(f"refused-events/{listed[-1]['id']}").data == listed[-1]
    assert listed[-1]["errors"] == rows[0].errors
    for query, number in (
        ({"reason": "invalid_field"}, 2),
        ({"pointer": "/currency"}, 1),
        ({"sdk_version": "2.1.0"}, 2),
        ({"door": "tenjin"}, 0),
        ({"app": str(of.app.public_id)}, 3),
        ({"status_code": 400}, 1),
        ({"id": IDFA.lower()}, 1),
        ({"id": sha1(IDFA.lower().encode(), usedforsecurity=False).hexdigest().upper()}, 1),
        ({"id": "Cj0KCQiA-click"}, 1),
        ({"id": "anna.schmidt@example.com"}, 1),
        ({"id": "GPA.3372-4150"}, 1),
        ({"id": "nobody"}, 0),
    ):
        assert len(program.rows("refused-events", **query)) == number, query
    counts = program.get("refused-events/counts").data["results"]
    assert {(each["reason"], each["pointer"]): each["refused"] for each in counts} == {
        ("invalid_field", "/revenue"): 1,
        ("invalid_field", "/currency"): 1,
        ("unreadable_body", ""): 1,
    }

    browser = sign_in(of.owner)
    page = browser.get("/admin/postbacks/refusedevent/").content.decode()
    assert page.count('class="pl-row"') == 3
    assert "/revenue" in page
    row = browser.get(f"/admin/postbacks/refusedevent/{rows[0].pk}/change/").content.decode()
    assert "is no amount" in row
    assert not [secret for secret in SECRETS if secret in row]
    searched = browser.get("/admin/postbacks/refusedevent/", {"q": "Cj0KCQiA-click"})
    assert searched.content.decode().count('class="pl-row"') == 1
    exported = browser.get("/admin/postbacks/refusedevent/export/")
    body = b"".join(exported.streaming_content).decode()
    assert len(list(csv.reader(io.StringIO(body)))) == 4


def test_an_organization_without_refusals_reads_when_they_appear(of: make.Tenant) -> None:
    page = sign_in(of.owner).get("/admin/postbacks/refusedevent/").content.decode()

    assert "Nothing was refused" in page
