"""Scheduled exports in the admin: set up, run now, followed, switched off, deleted."""

from pathlib import Path

import pytest

from apps_registry.tenancy import tenant
from postbacks.models import Export, ExportSchedule
from tests import make
from tests.admin.pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/exportschedule/"
FORM = {
    "name": "All purchases",
    "list_name": "events",
    "filters": "event_name=purchase",
    "format": "csv",
    "interval": "daily",
    "enabled": "on",
    "target": "s3",
    "endpoint": "https://s3.eu-central-1.amazonaws.com",
    "region": "eu-central-1",
    "bucket": "lake",
    "prefix": "raw/",
    "access_key_id": "AKIAEXAMPLE",
    "secret": "a-secret-access-key",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, settings) -> None:
    settings.DATA_DIR = tmp_path
    settings.ALLOW_PRIVATE_DESTINATIONS = ()


def test_a_schedule_is_set_up_run_and_deleted_with_its_history() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    assert browser.post(f"{LIST}add/", FORM).status_code == 302
    with tenant(made.organization.pk):
        schedule = ExportSchedule.objects.get()
    address = f"{LIST}{schedule.pk}/change/"
    page = browser.get(address).content.decode()
    assert FORM["secret"] not in page
    assert "There is none yet" in page

    started = browser.post(f"{LIST}{schedule.pk}/run/", follow=True)
    browser.post(address, {**FORM, "secret": "", "enabled": ""})
    followed = browser.get(address).content.decode()

    with tenant(made.organization.pk):
        export = Export.objects.get()
        schedule.refresh_from_db()
    assert export.key in started.content.decode()
    assert export.key in followed
    assert (schedule.enabled, schedule.reveal()) == (False, FORM["secret"])
    assert export.filters.startswith("event_name=purchase&since=")
    assert browser.post(f"{LIST}{schedule.pk}/delete/", {"post": "yes"}).status_code == 302
    with tenant(made.organization.pk):
        assert not ExportSchedule.objects.exists()
        assert not Export.objects.exists()


def test_the_form_says_what_is_wrong_where_it_stands() -> None:
    wrong = {
        "endpoint": "http://10.0.0.1",
        "secret": "",
        "filters": "install_id=a",
        "prefix": "../",
    }

    browser = sign_in(make.make_tenant().owner)
    prefix = browser.post(f"{LIST}add/", {**FORM, **wrong}).content.decode()
    others = browser.post(f"{LIST}add/", {**FORM, **wrong, "prefix": ""}).content.decode()

    assert "parts that end with a slash" in prefix
    for sentence in ("Use https://", "A store needs it", "may not name a person"):
        assert sentence in others
