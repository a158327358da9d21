"""Scheduled exports: each hour and day once, to a store in parts or into the operator's folder."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.db import connection

from apps_registry.tenancy import tenant as tenant_of
from postbacks.delivery.http.destinations import parse_networks
from postbacks.delivery.object_storage import store as stores
from postbacks.infrastructure.database import roles
from postbacks.insights import export_delivery, export_schedules, schedule_checks
from postbacks.insights.export_schedules import (
    ExportRefusedError,
    last_period,
    next_boundary,
    period_name,
)
from postbacks.models import Event, Export, ExportSchedule
from postbacks.worker import tasks
from tests import make
from tests.api.calling import Answer, Program, owner_of
from tests.database import as_role, wait_for_a_lock
from tests.object_store import BUCKET, KEY_ID, REGION, SECRET, Store, object_store
from tests.workers import work_on_exports

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def store() -> Iterator[Store]:
    with object_store() as running:
        yield running


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    settings.EXPORT_DIR = tmp_path / "handed over"
    settings.EXPORT_DIR.mkdir()
    return tmp_path / "exports"


def work(times: int = 1, seconds: float = 20.0) -> None:
    for _ in range(times):
        work_on_exports(seconds)


def schedule(made: make.Tenant, store: Store, **changes: object) -> Answer:
    body = {
        "name": "All events",
        "list": "events",
        "format": "jsonl",
        "interval": "hourly",
        "target": "s3",
        "endpoint": store.url,
        "region": REGION,
        "bucket": BUCKET,
        "prefix": "raw/dt=x/",
        "access_key_id": KEY_ID,
        "secret_access_key": SECRET,
    }
    return owner_of(made).post("export-schedules", {**body, **changes})


def report_events(made: make.Tenant, count: int = 3, **event: object) -> None:
    Program(made.sdk_key).post("events", [{"event_name": "open", **event}] * count)


def run(made: make.Tenant, id_: str) -> datetime:
    """Have a schedule be due for the hour of the newest event; return when that began."""
    with tenant_of(made.organization.pk):
        at = Event.objects.order_by("-received_at").values_list("received_at", flat=True).first()
        hour = (at or datetime.now(UTC)).replace(minute=0, second=0, microsecond=0)
        row = ExportSchedule.objects.get(public_id=id_)
        if row.next_period_at >= hour:
            row.next_period_at = max(hour, _reached(row) or hour)
    with as_role(roles.WORKER), tenant_of(made.organization.pk):
        export_schedules._start_next(row, hour + timedelta(hours=1, minutes=10))
    return hour


def _reached(row: ExportSchedule) -> datetime | None:
    ends = Export.objects.filter(schedule=row).order_by("-period_end")
    return ends.values_list("period_end", flat=True).first()


def files_of(folder: Path) -> list[Path]:
    return [path for path in folder.glob("**/*") if path.is_file()]


def test_an_hours_rows_arrive_in_the_store_byte_for_byte_and_leave_no_file(
    store: Store, folder: Path
) -> None:
    made = make.make_tenant()
    report_events(made)
    begun = schedule(made, store)
    assert begun.status == 201, begun.data

    hour = run(made, begun.data["id"])
    work(2)

    ((key, body),) = store.files.items()
    assert key == f"raw/dt=x/all-events/events-{hour:%Y-%m-%dT%H}.jsonl"
    lines = [json.loads(line) for line in body.splitlines()]
    assert lines == owner_of(made).rows("events")
    (export,) = owner_of(made).rows("exports")
    assert (export["status"], export["key"], export["rows"]) == ("finished", key, 3)
    assert (export["schedule"], export["download_url"]) == (begun.data["id"], None)
    assert files_of(folder) == []


def test_each_hour_is_exported_once_and_a_rerun_writes_the_same_name(
    store: Store, folder: Path
) -> None:
    made = make.make_tenant()
    report_events(made)
    id_ = schedule(made, store).data["id"]
    run(made, id_)
    run(made, id_)  # nothing more is due
    work(4)

    assert list(store.writes.values()) == [1]
    with tenant_of(made.organization.pk):
        row, hour = ExportSchedule.objects.get(), Export.objects.get().period_start
        export_schedules.run_again(row, hour, hour + timedelta(hours=1))
        with pytest.raises(ExportRefusedError):
            export_schedules.run_again(row, hour, hour + timedelta(hours=1))
    work(2)
    assert list(store.writes.values()) == [2]


def test_large_files_go_in_parts_and_a_successor_goes_on_after_the_last_one(
    store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make.make_tenant()
    text = os.urandom(15_000).hex()
    for _ in range(2):
        report_events(made, 100, params={"text": text})
    id_ = schedule(made, store).data["id"]
    run(made, id_)
    with tenant_of(made.organization.pk):
        size = lambda: Export.objects.get().size  # noqa: E731
    work()  # written
    work(seconds=0)  # one part
    assert [len(part) for part in store.uploads.popitem()[1].values()] == [stores.SMALLEST_PART]
    with tenant_of(made.organization.pk):
        assert size() > stores.SMALLEST_PART

    work(2)  # the store has forgotten the upload: it is begun anew
    _make_due(made)
    work(2)

    (body,) = store.files.values()
    assert body.count(b"\n") == 200
    assert store.uploads == {}
    assert store.calls.count("PUT partNumber") >= 3


def _make_due(made: make.Tenant) -> None:
    with tenant_of(made.organization.pk):
        Export.objects.update(next_try_at=datetime.now(UTC))


@pytest.mark.parametrize(
    ("wrong", "remedy"),
    [
        ({"secret_access_key": "another"}, "secret access key is not the one"),
        ({"access_key_id": "AKIAOTHER"}, "does not know the access key"),
        ({"region": "us-east-1"}, "in another region"),
        ({"bucket": "nobodys"}, "no such bucket"),
    ],
)
def test_what_is_set_wrong_is_named_with_its_remedy(
    store: Store, wrong: dict[str, str], remedy: str
) -> None:
    made = make.make_tenant()
    id_ = schedule(made, store, **wrong).data["id"]
    run(made, id_)

    work(2)

    (export,) = owner_of(made).rows("exports")
    assert export["status"] == "running"
    assert remedy in export["failure"]
    assert export["next_try_at"] is not None
    assert store.files == {}


def test_what_fails_is_tried_again_and_then_the_owners_have_one_mail(
    store: Store, folder: Path
) -> None:
    made = make.make_tenant()
    id_ = schedule(made, store, secret_access_key="wrong").data["id"]
    run(made, id_)
    work()
    tries = len(export_delivery.WAITS) + 1
    for _ in range(tries):
        _make_due(made)
        work()
    for _ in range(2):
        for organization, failing in _unnotified():
            with as_role(roles.WORKER):
                tasks.notify_of_failed_export(organization, failing)

    (export,) = owner_of(made).rows("exports")
    assert (export["status"], len(store.calls)) == ("failed", tries)
    assert files_of(folder) == []
    (sent,) = mail.outbox
    assert sent.to == [made.owner.email]
    assert "All events" in sent.subject
    assert "secret access key is not the one" in sent.body
    assert owner_of(made).get(f"export-schedules/{id_}").data["failing_since"] is not None

    owner_of(made).patch(f"export-schedules/{id_}", {"secret_access_key": SECRET})
    owner_of(made).post(f"export-schedules/{id_}/run")
    work(2)
    assert owner_of(made).get(f"export-schedules/{id_}").data["failing_since"] is None


def _unnotified() -> list[tuple[int, int]]:
    with as_role(roles.WORKER):
        return export_schedules.unnotified_failures()


def test_a_cancelled_upload_is_aborted_at_the_store(store: Store) -> None:
    made = make.make_tenant()
    for _ in range(2):
        report_events(made, 100, params={"text": os.urandom(15_000).hex()})
    id_ = schedule(made, store).data["id"]
    run(made, id_)
    work()
    work(seconds=0)
    assert store.uploads

    export = owner_of(made).rows("exports")[0]
    owner_of(made).post(f"exports/{export['id']}/cancel")
    work()

    assert (store.uploads, store.files) == ({}, {})


def test_a_file_goes_into_the_organizations_part_of_the_operators_folder(
    store: Store, folder: Path, settings
) -> None:
    made, other = make.make_tenant(), make.make_tenant("Moss Valley")
    report_events(made)
    begun = schedule(made, store, name="../../Über all", target="folder", format="csv")
    assert begun.status == 201, begun.data
    hour = run(made, begun.data["id"])
    schedule(other, store, name="B", target="folder")

    work(4)

    (path,) = files_of(settings.EXPORT_DIR)
    inside = path.relative_to(settings.EXPORT_DIR)
    assert inside.parts[:2] == (str(made.organization.public_id), "uber-all")
    assert path.name == f"events-{hour:%Y-%m-%dT%H}.csv"
    assert path.read_bytes().count(b"\r\n") == 4
    assert files_of(folder) == []

    with tenant_of(made.organization.pk):
        Export.objects.update(expires_at=datetime.now(UTC) - timedelta(seconds=1))
    work()
    assert files_of(settings.EXPORT_DIR) == []


def test_without_a_folder_of_the_operator_nobody_can_choose_it(store: Store, settings) -> None:
    settings.EXPORT_DIR = None

    refused = schedule(make.make_tenant(), store, target="folder")

    assert (refused.status, refused.pointers()) == (400, ["/target"])
    assert "EXPORT_DIR" in str(refused.data)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"endpoint": "http://10.0.0.1"}, "/endpoint"),
        ({"endpoint": "http://169.254.169.254"}, "/endpoint"),
        ({"endpoint": "https://s3.example.com/path"}, "/endpoint"),
        ({"endpoint": ""}, "/endpoint"),
        ({"prefix": "../up/"}, "/prefix"),
        ({"prefix": "a//b/"}, "/prefix"),
        ({"prefix": "/rooted/"}, "/prefix"),
        ({"bucket": "Not/One"}, "/bucket"),
        ({"secret_access_key": ""}, "/secret_access_key"),
        ({"list": "members"}, "/list"),
        ({"filter": "customer_user_id=anna"}, "/filter"),
        ({"filter": "nonsense=1"}, "/filter"),
        ({"filter": "since=2026-01-01T00:00Z"}, "/filter"),
        ({"name": "…"}, "/name"),
    ],
)
def test_what_can_not_work_is_refused_where_it_stands(
    store: Store, changes: dict[str, str], pointer: str
) -> None:
    refused = schedule(make.make_tenant(), store, **changes)

    assert (refused.status, refused.pointers()) == (400, [pointer]), refused.data


def test_the_guard_holds_for_stores_too(store: Store, settings) -> None:
    made = make.make_tenant()
    id_ = schedule(made, store).data["id"]
    run(made, id_)
    settings.ALLOW_PRIVATE_DESTINATIONS = ()

    work(2)

    (export,) = owner_of(made).rows("exports")
    assert "could not be reached" in export["failure"]
    assert store.calls == []


def test_a_name_that_leads_to_us_is_answered_like_one_without_an_address(
    store: Store, settings
) -> None:
    made = make.make_tenant()
    endpoint = store.url.replace("127.0.0.1", "localhost")
    run(made, schedule(made, store, endpoint=endpoint).data["id"])
    settings.ALLOW_PRIVATE_DESTINATIONS = ()

    work(2)

    (export,) = owner_of(made).rows("exports")
    assert "host name has no address" in export["failure"]
    assert store.calls == []


def test_a_secret_is_never_answered_and_has_to_be_entered_again_for_another_address(
    store: Store,
) -> None:
    made = make.make_tenant()
    begun = schedule(made, store)
    address = f"export-schedules/{begun.data['id']}"
    api = owner_of(made)

    moved = api.patch(address, {"endpoint": "https://s3.example.com"})
    renamed = api.patch(address, {"name": "Renamed", "secret_access_key": ""})

    assert (moved.status, moved.pointers()) == (400, ["/secret_access_key"])
    assert renamed.status == 200
    for answer in (begun, renamed, api.get(address), api.get("export-schedules")):
        assert SECRET not in str(answer.data)
    with tenant_of(made.organization.pk):
        row = ExportSchedule.objects.get()
    assert SECRET not in row.sealed
    assert row.reveal() == SECRET
    assert row.folder == "renamed"


def test_schedules_are_listed_all_or_by_whether_they_are_on(store: Store) -> None:
    made = make.make_tenant()
    for name, enabled in (("On", True), ("Off", False)):
        assert schedule(made, store, name=name, enabled=enabled).status == 201

    listed = [
        {row["name"] for row in owner_of(made).rows(f"export-schedules{query}")}
        for query in ("", "?enabled=true", "?enabled=false")
    ]

    assert listed == [{"On", "Off"}, {"On"}, {"Off"}]


def test_of_two_names_that_make_one_folder_the_second_is_refused(store: Store) -> None:
    made = make.make_tenant()
    schedule(made, store, name="All events")

    second = schedule(made, store, name="all  Events!")

    assert (second.status, second.pointers()) == (400, ["/name"])


def test_a_deleted_schedule_leaves_no_history_and_no_file(store: Store, settings) -> None:
    made = make.make_tenant()
    id_ = schedule(made, store, target="folder").data["id"]
    run(made, id_)
    work(2)
    assert files_of(settings.EXPORT_DIR)

    deleted = owner_of(made).delete(f"export-schedules/{id_}")

    assert deleted.status == 204
    assert owner_of(made).rows("exports") == []
    assert files_of(settings.EXPORT_DIR) == []


def test_a_schedule_that_starts_a_file_is_deleted_with_it(store: Store) -> None:
    made = make.make_tenant()
    id_ = schedule(made, store).data["id"]

    def delete() -> None:
        try:
            with tenant_of(made.organization.pk):
                export_schedules.delete(ExportSchedule.objects.get(public_id=id_))
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with tenant_of(made.organization.pk):
            starting = ExportSchedule.objects.select_for_update().get(public_id=id_)
            deleting = threads.submit(delete)
            wait_for_a_lock()
            export_schedules.run_now(starting)
        deleting.result()

    assert owner_of(made).rows("exports") == owner_of(made).rows("export-schedules") == []


ZONES = (
    "UTC",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Cairo",
    "America/St_Johns",
)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("interval", ["hourly", "daily"])
def test_periods_of_a_year_touch_each_other_and_have_names_of_their_own(
    zone: str, interval: str
) -> None:
    of = ZoneInfo(zone)
    moment = next_boundary(datetime(2026, 1, 1, tzinfo=UTC), interval, of)
    names = set()
    count = 0
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        names.add(period_name(moment, interval, of))
        count += 1
        end = next_boundary(moment, interval, of)
        assert timedelta(minutes=30) <= end - moment <= timedelta(hours=25)
        inside = moment + (end - moment) / 2
        assert next_boundary(inside, interval, of) == end
        assert last_period(end, interval, of) == (moment, end)
        moment = end
    assert len(names) == count


def test_an_hour_that_comes_twice_has_two_files() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)

    names = [period_name(first + timedelta(hours=n), "hourly", berlin) for n in range(3)]

    assert names == ["2026-10-25T02", "2026-10-25T02b", "2026-10-25T03"]
    assert period_name(datetime(2026, 5, 1, 22, tzinfo=UTC), "daily", berlin) == "2026-05-02"
    assert period_name(datetime(2026, 5, 1, 23, tzinfo=UTC), "daily", berlin) == "2026-05-02T0100"


def test_a_file_that_is_due_waits_for_who_exports_the_period_by_hand(store: Store) -> None:
    made = make.make_tenant()
    schedule(made, store)
    with tenant_of(made.organization.pk):
        past = datetime.now(UTC) - timedelta(hours=3)
        ExportSchedule.objects.update(next_period_at=past, due_at=past)

    def start_due() -> None:
        try:
            with as_role(roles.WORKER):
                export_schedules.start_due()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with tenant_of(made.organization.pk):
            export_schedules.run_now(ExportSchedule.objects.get())
            starting = threads.submit(start_due)
            wait_for_a_lock()
            assert Export.objects.count() == 1
        starting.result()

    assert len(owner_of(made).rows("exports")) == 2


def test_two_schedules_that_come_at_once_are_both_counted(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule_checks, "MOST_SCHEDULES", 1)
    made = make.make_tenant()

    def add_another() -> Answer:
        try:
            return schedule(made, store, name="Second")
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as threads:
        with tenant_of(made.organization.pk):
            values = {"name": "First", "target": "folder"}
            first = ExportSchedule(organization_id=made.organization.pk, **values)
            assert schedule_checks.problems(first, secret="", before=None) == {}
            export_schedules.save(first)
            adding = threads.submit(add_another)
            wait_for_a_lock()
        answer = adding.result()

    assert (answer.status, answer.pointers()) == (400, ["/name"])
