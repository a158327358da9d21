"""Parquet: the columns of CSV with types, for tools that read tables."""

import json
import uuid
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pytest
from django.test import Client
from pyarrow import parquet, types

from apps_registry import csv_format
from apps_registry.csv_format import ColumnType
from apps_registry.tenancy import tenant as tenant_of
from postbacks.insights import parquet_files
from postbacks.models import Export
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import Program, make_postback, owner_of, report
from tests.insights.credits import make_install, make_touches
from tests.workers import work_on_exports

pytestmark = pytest.mark.django_db(transaction=True)

LISTS = ("events", "postbacks", "installs", "touchpoints", "skan-postbacks", "audit-log")
LISTS += ("callback-rules", "partners", "tracking-links", "apps", "campaigns", "replays")
LOGS = ("postback", "deliveryattempt", "event", "install", "touchpoint", "skanpostback", "replay")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "exports"


@pytest.fixture
def made() -> make.Tenant:
    made = make.make_tenant()
    with tenant_of(made.organization.pk):
        link = make.make_link(make.make_campaign(made.app, make.make_partner()))
        rule = make.make_rule()
        make.make_skan_postback(made.app)
    event = {
        "event_name": "=1+1",
        "revenue": "4.990",
        "currency": "EUR",
        "quantity": 3,
        "limit_ad_tracking": 1,
        "install_begin_time": "2026-05-01 10:00:00",
        "params": {"level": 7, "name": "Zoë"},
    }
    make_postback(rule, report(made.sdk_key, **event), attempts=2)
    report(made.sdk_key, event_name="open")
    make_install(link, datetime.now(UTC))
    make_touches(link, datetime.now(UTC))
    return made


def work() -> None:
    work_on_exports()


def exported(made: make.Tenant, name: str, folder: Path) -> Any:
    begun = owner_of(made).post("exports", {"list": name, "format": "parquet"})
    assert begun.status == 202, begun.data
    work()
    export = owner_of(made).get(f"exports/{begun.data['id']}").data
    assert (export["status"], export["failure"]) == ("finished", ""), name
    client = Client(headers={"Authorization": f"Bearer {made.api_token}"})
    answer = client.get(export["download_url"])
    assert answer["Content-Type"] == "application/vnd.apache.parquet"
    assert answer["Content-Disposition"].endswith('.parquet"')
    path = folder / "taken.parquet"
    path.write_bytes(b"".join(answer.streaming_content))
    assert export["bytes"] == path.stat().st_size
    return parquet.read_table(path)


def test_events_have_their_money_times_and_flags_as_types(made: make.Tenant, folder: Path) -> None:
    table = exported(made, "events", folder)

    kinds = {field.name: str(field.type) for field in table.schema}
    (bought,) = [row for row in table.to_pylist() if row["event_name"] == "=1+1"]
    assert kinds["revenue"] == kinds["price"] == "decimal128(38, 12)"
    assert kinds["received_at"] == kinds["event_time"] == "timestamp[ms, tz=UTC]"
    assert (kinds["quantity"], kinds["limit_ad_tracking"]) == ("int64", "bool")
    assert kinds["install_begin_time"] == kinds["idfa"] == "string"  # as the store wrote it
    assert (bought["revenue"], bought["currency"]) == (Decimal("4.99"), "EUR")
    assert (bought["quantity"], bought["limit_ad_tracking"], bought["price"]) == (3, True, None)
    assert bought["received_at"].tzinfo is not None
    assert json.loads(bought["params"]) == {"level": 7, "name": "Zoë"}


def test_every_list_of_the_api_has_the_rows_and_columns_of_its_csv(
    made: make.Tenant, folder: Path
) -> None:
    client = Client(headers={"Authorization": f"Bearer {made.api_token}", "Accept": "text/csv"})
    for name in LISTS:
        heading, *_ = b"".join(client.get(f"/api/v1/{name}").streaming_content).split(b"\r\n")
        table = exported(made, name, folder)
        assert ",".join(table.column_names) == heading.decode(), name
        names = {"received_at", "event_received_at", "created_at", "delivered_at", "at"}
        times = [field.type for field in table.schema if field.name in names]
        assert name == "callback-rules" or times, name
        assert all(types.is_timestamp(type_) for type_ in times), name
        if name != "audit-log":
            assert table.num_rows == len(owner_of(made).rows(name)), name


@pytest.mark.parametrize("log", LOGS)
def test_every_log_of_the_pages_becomes_parquet(made: make.Tenant, folder: Path, log: str) -> None:
    browser = sign_in(made.owner)
    browser.post(f"/admin/postbacks/export/start/?list=postbacks.{log}", {"format": "parquet"})
    work()

    with tenant_of(made.organization.pk):
        export = Export.objects.get()
        table = parquet.read_table(export.path)
    assert (export.status, table.num_rows) == ("finished", export.rows)
    for field in table.schema:
        if field.name in {"Received", "Event received", "Started"}:
            assert types.is_timestamp(field.type)
    assert [path for path in folder.glob("*/*") if path.is_file()] == [export.path]


def test_a_list_without_rows_has_its_columns_all_the_same(folder: Path) -> None:
    table = exported(make.make_tenant(), "events", folder)

    assert table.num_rows == 0
    assert str(table.schema.field("revenue").type) == "decimal128(38, 12)"


def test_a_successor_goes_on_where_a_killed_worker_was(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_format, "CHUNK_SIZE", 2)
    made = make.make_tenant()
    Program(made.sdk_key).post("events", [{"event_name": "open"}] * 9)
    owner_of(made).post("exports", {"list": "events", "format": "parquet"})
    work_on_exports(0)  # one portion

    work()

    with tenant_of(made.organization.pk):
        export = Export.objects.get()
        assert parquet.read_table(export.path).num_rows == export.rows == 9


def test_what_arrow_holds_is_one_group_however_many_rows_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "GROUP_ROWS", 1_000)
    columns = {"id": ColumnType.TEXT, "kind": ColumnType.TEXT, "empty": ColumnType.TEXT}
    stored, target = tmp_path / "stored", tmp_path / "target"
    with stored.open("wb") as file:
        for _ in range(60):
            rows = [[str(uuid.uuid4()), "open", None] for _ in range(500)]
            file.write(parquet_files.encode(columns, rows))
    held = []

    parquet_files.write(
        stored, target, columns, lambda: held.append(pyarrow.total_allocated_bytes())
    )

    written = parquet.ParquetFile(target).metadata
    sizes = {written.row_group(number).num_rows for number in range(written.num_row_groups)}
    ids, kinds, _ = (written.row_group(0).column(number) for number in range(3))
    assert (written.num_rows, sizes, len(held)) == (30_000, {1_000}, 30)
    assert max(held[2:]) <= 1.1 * max(held[:2])
    # A dictionary of IDs would hold every one of them, and make the file no shorter.
    assert "RLE_DICTIONARY" not in ids.encodings
    assert "RLE_DICTIONARY" in kinds.encodings


def test_texts_that_utf_8_can_not_hold_and_values_of_any_kind_are_written(tmp_path: Path) -> None:
    columns = {"text": ColumnType.TEXT, "at": ColumnType.TIME, "count": ColumnType.INTEGER}
    stored, target = tmp_path / "stored", tmp_path / "target"
    rows = [
        ["\ud800", "2026-05-04T10:00:00.123Z", "7"],
        [["a"], datetime(2026, 5, 4, tzinfo=UTC), 8],
    ]
    stored.write_bytes(parquet_files.encode(columns, rows))

    parquet_files.write(stored, target, columns, lambda: None)

    table = parquet.read_table(target).to_pydict()
    assert table["text"] == ["?", '["a"]']
    assert table["count"] == [7, 8]
    assert [at.microsecond for at in table["at"]] == [123_000, 0]


def test_where_pyarrow_is_missing_both_doors_say_how_to_get_it(
    made: make.Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet_files, "_MODULE", "no_such_module")
    refused = owner_of(made).post("exports", {"list": "events", "format": "parquet"})
    address = "/admin/postbacks/export/start/?list=postbacks.event"
    page = sign_in(made.owner).get(address).content.decode()
    posted = sign_in(made.owner).post(address, {"format": "parquet"}).content.decode()

    assert refused.status == 409
    for text in (refused.data["detail"], page, posted):
        assert "pip install postbacks[parquet]" in text
    assert 'value="parquet"' not in page
    with tenant_of(made.organization.pk):
        assert not Export.objects.exists()
