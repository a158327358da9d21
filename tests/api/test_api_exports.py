"""Exports: lists of any size as files that a worker writes, the same bytes as the list's answer."""

import gc
import os
import re
import stat
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client

from apps_registry import csv_format
from apps_registry.models import AuditEntry
from apps_registry.roles import Right, Role
from apps_registry.tenancy import tenant as tenant_of
from postbacks.api import routes
from postbacks.infrastructure.database import roles
from postbacks.insights import exports, parquet_files
from postbacks.models import Export
from postbacks.models.exports import exports_folder
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import PROBLEM, Program, make_postback, owner_of, program_of, report
from tests.database import as_role
from tests.insights.credits import make_install, make_touches
from tests.workers import work_on_exports

pytestmark = pytest.mark.django_db(transaction=True)

JSON_LINES = "application/jsonl"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "exports"


def work(seconds: float = 20.0) -> None:
    work_on_exports(seconds)


def get(token: str, address: str, accept: str = "*/*", **query: str):
    client = Client(headers={"Authorization": f"Bearer {token}", "Accept": accept})
    answer = client.get(address, query)
    return answer.status_code, b"".join(answer) if answer.streaming else answer.content, answer


def files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*") if path.is_file()]


def _report_many(made: make.Tenant, count: int, name: str = "open") -> None:
    Program(made.sdk_key).post("events", [{"event_name": name}] * count)


def _fill(made: make.Tenant) -> None:
    with tenant_of(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner()))
        rule = make.make_rule()
        make.make_skan_postback(made.app)
    lines = {"separators": "\u2028 and \u2029"}
    bought = report(made.sdk_key, event_name="=1+1", revenue="4.990", params=lines)
    make_postback(rule, bought, attempts=2)
    make_install(link, datetime.now(UTC))
    make_touches(link, datetime.now(UTC))


def test_a_file_has_the_bytes_of_the_lists_own_answer(folder: Path) -> None:
    made = make.make_tenant()
    _fill(made)
    api = owner_of(made)
    accepts = {"csv": "text/csv", "jsonl": JSON_LINES}
    names = ("events", "postbacks", "installs", "touchpoints", "skan-postbacks", "audit-log")
    names += ("callback-rules", "partners", "tracking-links", "organization/signing-secrets")

    for name in names:
        for file_format, accept in accepts.items():
            _, streamed, _ = get(made.api_token, f"/api/v1/{name}", accept)
            begun = api.post("exports", {"list": name, "format": file_format})
            work()
            export = api.get(f"exports/{begun.data['id']}").data
            status, stored, answer = get(made.api_token, export["download_url"])
            if name == "audit-log":  # the export itself is in it meanwhile
                stored, streamed = stored.split(b"\n")[-4:], streamed.split(b"\n")[-4:]
            assert (begun.status, status, stored) == (202, 200, streamed), (name, file_format)
            assert (export["status"], export["percent"]) == ("finished", 100)
            assert answer["Content-Type"].split(";")[0] == accept
            assert answer["Content-Disposition"].endswith(f'.{file_format}"')
            api.delete(f"exports/{export['id']}")
    assert files(folder) == []


def test_json_lines_are_the_results_of_the_list() -> None:
    made = make.make_tenant()
    _fill(made)
    api = owner_of(made)

    for name in ("events", "postbacks"):
        for accept in (JSON_LINES, "application/x-ndjson"):
            status, content, answer = get(made.api_token, f"/api/v1/{name}", accept)
            _, page, _ = get(made.api_token, f"/api/v1/{name}")
            lines = content.split(b"\n")
            assert (status, answer["Content-Type"]) == (200, accept)
            assert len(lines) == len(api.rows(name)) + 1
            assert b'"results":[' + b",".join(lines[:-1]) + b"]" in page


def test_filters_count_and_a_wrong_one_is_named() -> None:
    made = make.make_tenant()
    _report_many(made, 3)
    _report_many(made, 2, "purchase")
    api = owner_of(made)

    wanted = api.post("exports", {"list": "events", "filter": {"event_name": "purchase"}})
    refused = {
        "/filter/nonsense": {"list": "events", "filter": {"nonsense": 1}},
        "/filter/app": {"list": "events", "filter": {"app": "nonsense"}},
        "/filter": {"list": "events", "filter": {"limit": 5}},
        "/list": {"list": "nothing"},
        "/format": {"list": "events", "format": "xlsx"},
    }
    answers = {place: api.post("exports", body) for place, body in refused.items()}
    others = [api.post("exports", {"list": name}) for name in ("members", "exports", "events/x")]
    work()

    assert api.get(f"exports/{wanted.data['id']}").data["rows"] == 2
    for place, answer in answers.items():
        assert (answer.status, answer.pointers()) == (400, [place]), answer.data
    assert [answer.status for answer in others] == [400, 400, 400]


def test_half_a_character_in_a_filter_is_refused_by_name() -> None:
    filters = {"customer_user_id": "\ud800"}
    answer = owner_of(make.make_tenant()).post("exports", {"list": "events", "filter": filters})

    assert answer.status == 400
    assert answer.data["errors"][0]["pointer"].startswith("/filter")


def test_every_address_is_exported_or_refused_by_name() -> None:
    owner = owner_of(make.make_tenant())
    names = [route.pattern.describe() for route in routes.urlpatterns]
    lists = {match[1] for name in names if (match := re.search(r"v1/([\w/-]+)\W", name))}
    assert {"metrics", "search", "events"} <= lists

    for name in sorted(lists):
        answer = owner.post("exports", {"list": name})
        assert answer.status in {202, 400}, (name, answer.data)
        if answer.status == 202:
            owner.delete(f"exports/{answer.data['id']}")
            assert owner.get(name).status == 200


def test_files_are_nobody_elses(folder: Path) -> None:
    made, other = make.make_tenant(), make.make_tenant("Moss Valley")
    _report_many(made, 3)
    export = owner_of(made).post("exports", {"list": "events"}).data
    work()
    ready = owner_of(made).get(f"exports/{export['id']}").data

    (path,) = files(folder)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(path.name) == 48
    assert export["id"] not in path.name
    assert get(other.api_token, ready["download_url"])[0] == 404
    assert Client().get(ready["download_url"]).status_code == 401
    assert owner_of(other).post(f"exports/{export['id']}/cancel").status == 404
    assert owner_of(other).delete(f"exports/{export['id']}").status == 404
    assert owner_of(other).rows("exports") == []
    assert path.exists()


def test_who_may_not_export_gets_no_file(monkeypatch: pytest.MonkeyPatch) -> None:
    made = make.make_tenant()
    export = program_of(Role.ANALYST, made).post("exports", {"list": "events"})
    work()
    rights = {Role.ANALYST: frozenset({Right.READ})}
    analyst = program_of(Role.ANALYST, made)
    address = f"exports/{export.data['id']}"
    assert get(made.api_token, f"/api/v1/{address}/download")[0] == 200

    monkeypatch.setattr("apps_registry.roles.RIGHTS", rights)

    for answer in (
        analyst.get(f"{address}/download"),
        analyst.post("exports", {"list": "events"}),
        analyst.delete(address),
    ):
        assert (answer.status, answer.content_type) == (403, PROBLEM)


def test_a_killed_workers_successor_goes_on_after_the_last_stored_row(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    made = make.make_tenant()
    _report_many(made, 9)
    _, streamed, _ = get(made.api_token, "/api/v1/events", JSON_LINES)
    api = owner_of(made)
    address = "exports/" + api.post("exports", {"list": "events", "format": "jsonl"}).data["id"]

    work(seconds=0)  # one portion
    half = api.get(address).data
    (path,) = files(folder)
    with path.open("ab") as file:
        file.write(b'{"written": "but not stored, as by a worker that was ki')
    download = api.get(f"{address}/download")
    work()

    assert (half["status"], half["rows"], half["download_url"]) == ("running", 2, None)
    assert download.status == 409
    assert path.read_bytes() == streamed
    assert api.get(address).data["rows"] == 9


def test_a_file_that_is_not_there_is_begun_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    made = make.make_tenant()
    _report_many(made, 5)
    api = owner_of(made)
    _, streamed, _ = get(made.api_token, "/api/v1/events", "text/csv")
    address = "exports/" + api.post("exports", {"list": "events"}).data["id"]
    work(seconds=0)

    (before,) = files(folder)
    before.unlink()
    work()

    assert get(made.api_token, api.get(address).data["download_url"])[1] == streamed


def test_a_cancelled_export_has_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    made = make.make_tenant()
    _report_many(made, 5)
    api = owner_of(made)
    address = "exports/" + api.post("exports", {"list": "events"}).data["id"]
    work(seconds=0)

    answer = api.post(f"{address}/cancel")
    work()

    assert (answer.status, answer.data["status"]) == (202, "cancelled")
    assert (files(folder), api.get(f"{address}/download").status) == ([], 404)
    assert api.post(f"{address}/cancel").status == 409


def test_exports_are_bounded(folder: Path, settings, monkeypatch: pytest.MonkeyPatch) -> None:
    made, other = make.make_tenant(), make.make_tenant("Moss Valley")
    _report_many(made, 5)
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    monkeypatch.setattr(exports, "_SAVE_SECONDS", 0.0)
    api = owner_of(made)
    for _ in range(exports.MOST_RUNNING):
        api.post("exports", {"list": "apps"})
    too_many = api.post("exports", {"list": "apps"})
    elsewhere = owner_of(other).post("exports", {"list": "apps"})
    for _ in range(exports.MOST_RUNNING + 1):
        work()
    settings.EXPORT_MEGABYTES_OF_ORGANIZATION = 0
    address = "exports/" + api.post("exports", {"list": "events"}).data["id"]
    work()

    assert (too_many.status, elsewhere.status) == (409, 202)
    assert "cancel" in too_many.data["detail"]
    failed = api.get(address).data
    assert (failed["status"], failed["download_url"]) == ("failed", None)
    assert "Delete some exports" in failed["failure"]
    assert len(files(folder)) == exports.MOST_RUNNING + 1


def test_a_file_goes_after_seven_days_and_orphans_with_the_cleanup(folder: Path) -> None:
    made = make.make_tenant()
    api = owner_of(made)
    address = "exports/" + api.post("exports", {"list": "apps"}).data["id"]
    work()
    export = api.get(address).data
    orphan = exports_folder() / "1" / "f"
    orphan.parent.mkdir(exist_ok=True, parents=True)
    orphan.write_bytes(b"x")
    os.utime(orphan, (0, 0))
    for path in files(folder):
        os.utime(path, (0, 0))
    created = datetime.fromisoformat(export["created_at"])
    assert datetime.fromisoformat(export["expires_at"]) - created == timedelta(days=7)

    with as_role(roles.WORKER):
        assert exports.delete_orphans() == 1
    assert len(files(folder)) == 1
    with tenant_of(made.organization.pk):
        Export.objects.update(expires_at=datetime.now(UTC))
    assert api.get(f"{address}/download").status == 404
    work()

    assert (files(folder), api.get(address).status) == ([], 404)


def test_a_file_that_is_deleted_meanwhile_does_not_end_the_cleanup(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "stored_files", lambda: iter([folder / "gone"]))

    assert exports.delete_orphans() == 0


def test_the_audit_log_names_who_had_a_file_made_and_who_took_it() -> None:
    made = make.make_tenant()
    api = owner_of(made)
    wanted = {"list": "events", "filter": {"customer_user_id": "anna"}}
    address = "exports/" + api.post("exports", wanted).data["id"]
    work()
    get(made.api_token, f"/api/v1/{address}/download")

    with tenant_of(made.organization.pk):
        entries = AuditEntry.objects.filter(action="exported").order_by("id")
        assert [entry.object_name for entry in entries] == ["events", "events (file)"]
        assert all("anna" not in str(entry.changes) for entry in entries)


@pytest.mark.parametrize("file_format", ["csv", "jsonl", "parquet"])
def test_memory_does_not_grow_with_the_list(
    file_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 500)
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 250)
    made = make.make_tenant()
    report(made.sdk_key)
    with connection.cursor() as cursor, as_role(roles.WORKER), tenant_of(made.organization.pk):
        cursor.execute(
            "INSERT INTO event (id, organization_id, app_id, event_id, event_name, event_time, "
            "received_at, source, platform, bundle_id, device, customer_user_id, currency, fields, "
            "params) SELECT 10000000 + number, organization_id, app_id, gen_random_uuid(), "
            "CASE WHEN number <= 1500 THEN 'few' ELSE 'many' END, "
            "event_time, received_at, source, platform, bundle_id, device, customer_user_id, "
            "currency, fields, params FROM event, generate_series(1, 9000) AS number"
        )
    owner_of(made).post("exports", {"list": "apps", "format": file_format})
    work()  # has imported what the format needs
    peaks = []
    usual = gc.get_threshold()
    # What is measured are no cycles that wait for their collection: beside all objects of the
    # tests before, these would wait until there are a quarter as many.
    gc.set_threshold(100, 2, 2)
    gc.freeze()
    gc.collect()
    for name in ("few", "many"):
        wish = {"list": "events", "format": file_format, "filter": {"event_name": name}}
        owner_of(made).post("exports", wish)
        tracemalloc.start()
        work(60)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    gc.unfreeze()
    gc.set_threshold(*usual)

    with tenant_of(made.organization.pk):
        exported = Export.objects.filter(list_name="events").order_by("id")
        assert list(exported.values_list("rows", flat=True)) == [1500, 7500]
    assert peaks[1] < 1.3 * peaks[0]


@pytest.mark.parametrize(("kills", "status"), [(0, "finished"), (1, "finished"), (2, "failed")])
def test_one_that_has_killed_two_workers_is_given_up_and_its_owner_sees_it(
    kills: int, status: str
) -> None:
    made = make.make_tenant()
    api = owner_of(made)
    address = "exports/" + api.post("exports", {"list": "apps"}).data["id"]
    with tenant_of(made.organization.pk):
        export = Export.objects.get()
    for _ in range(kills):
        with as_role(roles.WORKER):
            assert Export.begin_turn(made.organization.pk, export.pk)

    work()

    ended = api.get(address).data
    page = sign_in(made.owner).get(f"/admin/postbacks/export/{export.pk}/change/")
    assert ended["status"] == status
    assert ("ended 2 workers" in ended["failure"]) == (status == "failed")
    assert ("ended 2 workers" in page.content.decode()) == (status == "failed")


def test_turns_that_end_well_are_no_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 1)
    made = make.make_tenant()
    _report_many(made, 5)
    address = "exports/" + owner_of(made).post("exports", {"list": "events"}).data["id"]

    for _ in range(6):
        work(seconds=0)  # one row each

    assert owner_of(made).get(address).data["status"] == "finished"
