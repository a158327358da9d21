"""Devices whose clocks are wrong: their times are corrected, marked and kept in order."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from apps_registry.tenancy import tenant as tenant_of
from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.intake.events.device_clock import EventTime, in_order
from postbacks.models import Event
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import Answer, Program, owner_of
from tests.database import as_role
from tests.touches import GAID, make_network, touch

pytestmark = pytest.mark.django_db(transaction=True)

NEAR = timedelta(seconds=30)  # how long a test may take between its two looks at the clock
MARK = "event_time_corrected_by"
TENJIN_ID = "91d1c313-dd94-4bd3-bbbb-16c8b7afa054"


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


def ahead(**span: float) -> datetime:
    return datetime.now(UTC) + timedelta(**span)


def milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1_000)


def event(**fields: object) -> dict[str, object]:
    return {"event_id": str(uuid4()), "event_name": "purchase", "install_id": "d", **fields}


def post(tenant: make.Tenant, body: object) -> Answer:
    return Program(tenant.sdk_key).post("events", body)


def rows(tenant: make.Tenant) -> list[Mapping[str, object]]:
    """Return the events as the API shows them, oldest first."""
    return owner_of(tenant).rows("events")[::-1]


def happened(row: Mapping[str, object]) -> datetime:
    return datetime.fromisoformat(str(row["event_time"]))


def assert_near(moment: object, expected: datetime) -> None:
    assert abs(datetime.fromisoformat(str(moment)) - expected) < NEAR


def assert_marked(row: Mapping[str, object], seconds: float) -> None:
    assert isinstance(row[MARK], int)
    assert abs(row[MARK] - seconds) < NEAR.total_seconds()


@dataclass(frozen=True)
class Clock:
    """An event's time by a clock that is wrong, the time of sending, and what becomes of it."""

    time: timedelta
    sent: timedelta | None
    stored: timedelta | None  # None: refused
    by: float | None = None


HOURS = timedelta(hours=3)
TEN = timedelta(days=10)
TWENTY = timedelta(days=20)
MINUTE = timedelta(minutes=1)
NOW = timedelta()
CLOCKS = {
    "right": Clock(-MINUTE, NOW, -MINUTE),
    "30 s ahead, kept": Clock(MINUTE / 2, MINUTE / 2, MINUTE / 2),
    "30 s ahead, not said": Clock(MINUTE / 2, None, MINUTE / 2),
    "2 min ahead": Clock(MINUTE, 2 * MINUTE, -MINUTE, -120),
    "2 min ahead, not said": Clock(2 * MINUTE, None, NOW, -120),
    "3 h ahead": Clock(HOURS - MINUTE, HOURS, -MINUTE, -10_800),
    "3 h ahead, not said": Clock(HOURS, None, NOW, -10_800),
    "10 days ahead": Clock(TEN, TEN, NOW, -864_000),
    "10 days ahead, not said": Clock(TEN, None, NOW, -864_000),
    "20 days ahead": Clock(TWENTY - HOURS, TWENTY, -HOURS, -1_728_000),
    "20 days ahead, not said": Clock(TWENTY, None, None),
    "3 h behind": Clock(-HOURS - MINUTE, -HOURS, -MINUTE, 10_800),
    "3 h behind, not said": Clock(-HOURS, None, -HOURS),
    "100 days behind": Clock(-10 * TEN, -10 * TEN, NOW, 8_640_000),
    "right, 57 days old": Clock(-timedelta(days=57), NOW, -timedelta(days=57)),
    "3 h ahead, 58 days old": Clock(-timedelta(days=58), HOURS, None),
    "3 h behind, 14 days ahead": Clock(timedelta(days=14), -HOURS, None),
    "3 h ahead, event further": Clock(HOURS + TEN, HOURS, NOW, -874_800),
    "right, event 2 h ahead": Clock(timedelta(hours=2), NOW, NOW, -7_200),
}


@pytest.mark.parametrize("place", ["event", "request"])
@pytest.mark.parametrize("clock", CLOCKS.values(), ids=CLOCKS)
def test_a_wrong_clock_is_corrected_and_marked(tenant, clock: Clock, place: str) -> None:
    now = datetime.now(UTC)
    sent = {} if clock.sent is None else {"sent_at": (now + clock.sent).isoformat()}
    single = event(event_time=(now + clock.time).isoformat())

    answer = post(tenant, {**single, **sent} if place == "event" else {"events": [single], **sent})

    if clock.stored is None:
        assert answer.status == 422
        (error,) = answer.data["rejected"][0]["errors"]
        assert error["pointer"] == "/event_time"
        assert (now + clock.time).isoformat() in error["detail"]
        return
    assert answer.status == 202, answer.data
    (row,) = rows(tenant)
    assert_near(row["event_time"], now + clock.stored)
    pointers = [warning["pointer"] for warning in answer.data["warnings"]]
    if clock.by is None:
        assert row[MARK] is None
        assert pointers == []
    else:
        assert_marked(row, clock.by)
        assert pointers == ["/event_time"]
    assert row["params"] == {}
    if clock.sent is not None:
        assert_near(row["sent_at"], now + clock.sent)


@pytest.mark.parametrize(
    "write",
    [
        datetime.isoformat,
        lambda moment: int(moment.timestamp()),
        milliseconds,
        lambda moment: milliseconds(moment) * 1_000,
        lambda moment: str(milliseconds(moment)),
        lambda moment: moment.timestamp(),
        lambda moment: moment.strftime("%Y-%m-%dT%H:%M:%S.000Z+0000"),
    ],
    ids=["ISO", "seconds", "milliseconds", "microseconds", "text", "fraction", "Adjust's"],
)
def test_the_time_of_sending_is_read_in_every_form(tenant, write) -> None:
    sent = ahead(hours=3)

    post(tenant, event(event_time=write(sent - timedelta(minutes=5)), sent_at=write(sent)))

    (row,) = rows(tenant)
    assert_near(row["event_time"], ahead(minutes=-5))
    assert_marked(row, -10_800)


@pytest.mark.parametrize(
    "wrong",
    [
        *("yesterday", "", "2026-05-04T10:00:00", True, [], {}, 0, -5, 1e300, 123, "9" * 30),
        *("9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
    ],
)
def test_a_time_of_sending_that_is_none_is_refused(tenant, wrong) -> None:
    answer = post(tenant, [event(sent_at=wrong), event()])

    assert answer.status == 202
    (rejected,) = answer.data["rejected"]
    (error,) = rejected["errors"]
    assert error["pointer"] == "/sent_at"
    assert "Write" in error["detail"]
    whole = post(tenant, {"events": [event()], "sent_at": wrong})
    assert whole.status == 422
    assert error["detail"] in whole.data["detail"]
    assert "sent_at" in whole.data["detail"]
    assert len(rows(tenant)) == 1


def test_null_is_no_time_of_sending(tenant) -> None:
    assert post(tenant, {"events": [event(sent_at=None)], "sent_at": None}).status == 202
    assert rows(tenant)[0]["sent_at"] is None


def test_an_events_own_time_of_sending_comes_first(tenant) -> None:
    time = ahead(hours=3)
    body = {
        "events": [event(event_time=time.isoformat(), sent_at=time.isoformat()), event()],
        "sent_at": ahead(days=-2).isoformat(),
    }

    assert post(tenant, body).status == 202

    own, without_time = rows(tenant)
    assert_marked(own, -10_800)
    assert without_time[MARK] is None  # it said no time that could be wrong
    assert_near(without_time["event_time"], ahead())


def test_beside_touchpoints_there_is_no_time_of_sending(tenant) -> None:
    body = {"touchpoints": [{}], "sent_at": ahead().isoformat()}

    answer = Program(tenant.sdk_key).post("touchpoints", body)

    assert answer.status == 400
    assert "sent_at" in answer.data["detail"]


# Order


@pytest.mark.parametrize("is_reversed", [False, True])
@pytest.mark.parametrize("said", ["nowhere", "per event", "by request", "at once"])
def test_two_events_of_a_device_keep_their_order(tenant, said: str, is_reversed: bool) -> None:
    first, second = ahead(hours=3), ahead(hours=3, seconds=5)
    events = []
    for name, time in (("first", first), ("second", second)):
        own = {"per event": time, "at once": second}.get(said)
        sent = {} if own is None else {"sent_at": own.isoformat()}
        events.append(event(event_name=name, event_time=time.isoformat(), **sent))
    body: dict[str, object] = {"events": events[::-1] if is_reversed else events}
    if said == "by request":
        body["sent_at"] = second.isoformat()

    assert post(tenant, body).status == 202

    stored = {str(row["event_name"]): row for row in rows(tenant)}
    assert happened(stored["first"]) < happened(stored["second"])
    for row in stored.values():
        assert_near(row["event_time"], ahead())
        assert_marked(row, -10_800)


def test_an_event_that_is_kept_stays_before_one_that_is_taken_as_now(tenant) -> None:
    post(
        tenant,
        [
            event(event_name="later", event_time=ahead(hours=2).isoformat()),
            event(event_name="kept", event_time=ahead(seconds=40).isoformat()),
            event(event_name="other", event_time=ahead(hours=2).isoformat(), install_id="e"),
        ],
    )

    stored = {row["event_name"]: row for row in rows(tenant)}
    assert happened(stored["kept"]) < happened(stored["later"])
    assert stored["kept"][MARK] is None
    assert happened(stored["other"]) < happened(stored["kept"])


def test_many_events_ahead_stay_in_order(tenant) -> None:
    start = ahead(days=3)
    times = [start + timedelta(seconds=number) for number in range(200)]
    post(tenant, [event(event_time=time.isoformat()) for time in times])

    stored = [happened(row) for row in owner_of(tenant).rows("events", limit=200)[::-1]]
    assert stored == sorted(set(stored))
    assert len(stored) == len(times)
    assert_near(stored[-1].isoformat(), ahead())


def test_equal_times_stay_equal() -> None:
    now = datetime.now(UTC)
    time = EventTime(now + HOURS, now)

    assert in_order([time, time]) == [time, time]


# The times of the install


def install(**fields: object) -> dict[str, object]:
    return event(event_name="install", gaid=GAID, platform="android", **fields)


def test_the_store_times_of_the_device_are_corrected_and_googles_are_not(tenant) -> None:
    server = int(ahead(minutes=-3).timestamp())
    post(
        tenant,
        install(
            sent_at=milliseconds(ahead(hours=3)),
            event_time=ahead(hours=3, minutes=-1).isoformat(),
            install_begin_time=int(ahead(hours=3, minutes=-3).timestamp()),
            install_finish_time=ahead(hours=3, minutes=-2).isoformat(),
            referrer_click_time=str(milliseconds(ahead(hours=3, minutes=-4))),
            install_begin_time_server=server,
            referrer_click_time_server=0,
        ),
    )

    (row,) = rows(tenant)
    assert_near(row["install_begin_time"], ahead(minutes=-3))
    assert_near(row["install_finish_time"], ahead(minutes=-2))
    assert_near(row["referrer_click_time"], ahead(minutes=-4))
    assert row["install_begin_time_server"] == str(server)
    assert row["referrer_click_time_server"] == "0"


def test_without_a_time_of_its_own_the_event_is_marked_for_the_stores_times(tenant) -> None:
    begin = ahead(hours=3, minutes=-3).isoformat()

    answer = post(tenant, install(sent_at=ahead(hours=3).isoformat(), install_begin_time=begin))

    (row,) = rows(tenant)
    assert_near(row["event_time"], ahead())
    assert_near(row["install_begin_time"], ahead(minutes=-3))
    assert_marked(row, -10_800)
    assert [warning["pointer"] for warning in answer.data["warnings"]] == ["/sent_at"]


def test_the_stores_times_move_with_an_event_ahead_only_if_they_are_ahead_too(tenant) -> None:
    right = str(int(ahead(minutes=-3).timestamp()))
    begin = ahead(hours=3, minutes=-3).isoformat()
    post(
        tenant,
        [
            install(event_time=ahead(hours=3).isoformat(), install_begin_time=begin),
            install(event_time=ahead(hours=3).isoformat(), install_begin_time=right),
        ],
    )

    moved, left = rows(tenant)
    assert_near(moved["install_begin_time"], ahead(minutes=-3))
    assert left["install_begin_time"] == right


@pytest.mark.parametrize("is_sent_at_said", [True, False])
def test_an_install_is_credited_by_its_corrected_time(tenant, is_sent_at_said: bool) -> None:
    partner, link = make_network(tenant)
    touch(tenant, link, ago=120)
    sent = {"sent_at": ahead(days=13).isoformat()} if is_sent_at_said else {}
    post(
        tenant,
        install(
            event_time=ahead(days=13).isoformat(),
            install_begin_time=ahead(days=13, seconds=-60).isoformat(),
            **sent,
        ),
    )
    with as_role(roles.WORKER):
        while pipeline.work():
            pass

    (credited,) = owner_of(tenant).rows("installs")
    assert credited["attribution"]["type"] == "click"
    assert credited["attribution"]["partner"] == str(partner.public_id)


# Tenjin's door


@pytest.mark.parametrize(
    ("clock", "stored", "by"),
    [
        (MINUTE / 2, MINUTE / 2, None),
        (2 * MINUTE, NOW, -120),
        (HOURS, NOW, -10_800),
        (TEN, NOW, -864_000),
        (TWENTY, NOW, -1_728_000),
        (-HOURS, -HOURS, None),  # perhaps a retry, which repeats its time
        (timedelta(days=9_000), NOW, None),  # no clock: as if it had not been sent
    ],
    ids=str,
)
def test_tenjins_calls_are_corrected_and_marked(tenant, clock, stored, by) -> None:
    now = datetime.now(UTC)
    query = {
        "api_key": tenant.sdk_key,
        "analytics_installation_id": TENJIN_ID,
        "bundle_id": tenant.bundle_id.identifier,
        "sent_at": milliseconds(now + clock),
        "event": "won",
    }

    answer = Program("").client.get(f"/v0/event?{urlencode(query)}", headers={"Authorization": ""})

    assert answer.status_code == 200, answer.content
    (row,) = rows(tenant)
    assert_near(row["event_time"], now + stored)
    if by is None:
        assert row[MARK] is None
    else:
        assert_marked(row, by)


def test_tenjins_two_calls_5_s_apart_keep_their_order(tenant) -> None:
    for seconds, name in ((0, "first"), (5, "second")):
        sent_at = milliseconds(ahead(hours=3, seconds=seconds))
        query = {"analytics_installation_id": TENJIN_ID, "sent_at": sent_at, "event": name}
        bearer = {"Authorization": f"Bearer {tenant.sdk_key}"}
        Program("").client.get(f"/v0/event?{urlencode(query)}", headers=bearer)

    first, second = rows(tenant)
    assert (first["event_name"], second["event_name"]) == ("first", "second")
    assert happened(first) <= happened(second)


# Where it is shown


def test_the_mark_stands_in_the_csv(tenant) -> None:
    post(tenant, [event(event_time=ahead(hours=3).isoformat()), event()])
    client = owner_of(tenant).client

    answer = client.get("/api/v1/events", headers={"Accept": "text/csv"})

    content = b"".join(answer) if answer.streaming else answer.content
    unmarked, marked = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    assert unmarked[MARK] == ""
    assert abs(int(marked[MARK]) + 10_800) < NEAR.total_seconds()


def test_the_events_page_and_its_file_say_that_the_time_was_corrected(tenant) -> None:
    post(tenant, event(event_time=ahead(hours=3).isoformat()))
    (row,) = rows(tenant)
    with tenant_of(tenant.organization.pk):
        stored = Event.objects.get()
    owner = sign_in(tenant.owner)

    page = owner.get(f"/admin/postbacks/event/{stored.pk}/change/").content.decode()
    export = owner.get("/admin/postbacks/event/export/")

    assert f"its times were corrected by {row[MARK]} seconds" in page
    assert "Time corrected by (seconds)" in page
    content = b"".join(export) if export.streaming else export.content
    (line,) = csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    assert line["Time corrected by (seconds)"].endswith(str(row[MARK]))
