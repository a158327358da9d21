"""Exports in the admin: from a log's filters to a file that is followed, fetched and deleted."""

import json
from pathlib import Path

import pytest
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.models import Export
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import make_postback, report
from tests.workers import work_on_exports

pytestmark = pytest.mark.django_db(transaction=True)

LOG = "/admin/postbacks/postback/"
LIST = "/admin/postbacks/export/"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path
    return tmp_path / "exports"


@pytest.fixture
def made() -> make.Tenant:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, name="Purchases")
    for status in ("failed", "failed", "delivered"):
        make_postback(rule, report(made.sdk_key), status=status, attempts_made=1)
    return made


def work() -> None:
    work_on_exports()


def bytes_of(browser: Client, address: str) -> bytes:
    answer = browser.get(address)
    assert answer.status_code == 200, address
    return b"".join(answer.streaming_content)


def test_from_the_log_to_a_file_in_the_background(made: make.Tenant, folder: Path) -> None:
    browser = sign_in(made.owner)
    assert "No exports yet" in browser.get(LIST).content.decode()
    log = browser.get(f"{LOG}?status=failed").content.decode()
    start = f"{LIST}start/?status=failed&list=postbacks.postback"
    assert start.replace("&", "&amp;") in log

    offered = browser.get(start).content.decode()
    assert "Status: Failed" in offered
    started = browser.post(f"{start}&time=24h", {"format": "csv"}, follow=True)
    page, _ = started.redirect_chain[-1]
    assert f'data-progress="{page.replace("change", "progress")}"' in started.content.decode()
    with tenant(made.organization.pk):
        export = Export.objects.get()
    assert "time=" not in export.filters
    assert "since=20" in export.filters
    work()

    done = browser.get(page.replace("change", "progress")).content.decode()
    assert "2 rows" in done
    assert bytes_of(browser, f"{LIST}{export.pk}/download/") == bytes_of(
        browser, f"{LOG}export/?status=failed"
    )
    browser.post(f"{LIST}{export.pk}/remove/")
    assert [path for path in folder.glob("*/*") if path.is_file()] == []


def test_json_lines_come_from_every_list(made: make.Tenant) -> None:
    browser = sign_in(made.owner)

    log = bytes_of(browser, f"{LOG}export/?status=failed&_format=jsonl").decode().splitlines()
    rules = bytes_of(browser, "/admin/postbacks/callbackrule/export/?_format=jsonl").decode()
    unknown = browser.get(f"{LOG}export/?_format=xlsx")

    assert [json.loads(line)["Status"] for line in log] == ["Failed", "Failed"]
    assert json.loads(rules)["Name"] == "Purchases"
    assert unknown.status_code == 302
    page = browser.get("/admin/postbacks/callbackrule/").content.decode()
    assert "/admin/postbacks/callbackrule/export/?_format=jsonl" in page


@pytest.mark.parametrize(
    "of", ["", "postbacks.export", "apps_registry.app", "no.such", "auth.user"]
)
def test_only_logs_are_exported_in_the_background(made: make.Tenant, of: str) -> None:
    answer = sign_in(made.owner).post(f"{LIST}start/?list={of}", {"format": "csv"})

    assert (answer.status_code, answer["Location"]) == (302, LIST)
    with tenant(made.organization.pk):
        assert not Export.objects.exists()


@pytest.mark.parametrize("log", ["postback", "deliveryattempt", "event", "install", "touchpoint"])
def test_every_log_becomes_a_file(made: make.Tenant, log: str) -> None:
    browser = sign_in(made.owner)
    for file_format in ("csv", "jsonl"):
        browser.post(f"{LIST}start/?list=postbacks.{log}", {"format": file_format})
        work()
        with tenant(made.organization.pk):
            export = Export.objects.latest("pk")
        stored = bytes_of(browser, f"{LIST}{export.pk}/download/")
        address = f"/admin/postbacks/{log}/export/?_format={file_format}"
        assert stored == bytes_of(browser, address)
