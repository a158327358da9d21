"""Scheduled exports in the admin: set up, run now, followed, switched off, deleted."""

from pathlib import Path

import pytest
from django.http import QueryDict

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import Export, ExportSchedule
from tests import make
from tests.admin.pages import sign_in

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/exportschedule/"
FORM = {
    "name": "All purchases",
    "list_name": "events",
    "filter_events_event_name": "purchase",
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
        "prefix": "../",
    }

    browser = sign_in(make.make_tenant().owner)
    prefix = browser.post(f"{LIST}add/", {**FORM, **wrong}).content.decode()
    others = browser.post(f"{LIST}add/", {**FORM, **wrong, "prefix": ""}).content.decode()

    assert "parts that end with a slash" in prefix
    for sentence in ("Use https://", "A store needs it"):
        assert sentence in others


def test_filters_are_chosen_by_name_and_those_of_other_lists_are_left() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        campaign = make.make_campaign(made.app, make.make_partner())
    browser = sign_in(made.owner)
    chosen = {
        "list_name": "postbacks",
        "filter_app": str(made.app.public_id),
        "filter_campaign": str(campaign.public_id),
        "filter_postbacks_status": "failed",
        "filter_installs_kind": "install",
    }

    answer = browser.post(f"{LIST}add/", {**FORM, **chosen})
    with tenant(made.organization.pk):
        schedule = ExportSchedule.objects.get()
        type(campaign).objects.filter(pk=campaign.pk).update(status="archived")
    address = f"{LIST}{schedule.pk}/change/"
    form = browser.get(address).context["adminform"].form
    browser.post(address, {**FORM, **chosen, "secret": "", "name": "Changed"})

    assert answer.status_code == 302
    assert QueryDict(schedule.filters).dict() == {
        "app": str(made.app.public_id),
        "campaign": str(campaign.public_id),
        "status": "failed",
    }
    assert form["filter_postbacks_status"].value() == "failed"
    assert dict(form.fields["filter_campaign"].choices)[str(campaign.public_id)].endswith(
        f"{made.app.name} / {campaign.name} (archived)"
    )
    with tenant(made.organization.pk):
        changed = ExportSchedule.objects.get()
    assert (changed.name, changed.filters) == ("Changed", schedule.filters)


def test_a_filter_that_is_wrong_says_so_where_it_stands() -> None:
    made = make.make_tenant()
    other = make.make_tenant("Moss Valley")
    wrong = {
        "list_name": "postbacks",
        "filter_app": str(other.app.public_id),
        "filter_postbacks_version": "first",
    }

    form = sign_in(made.owner).post(f"{LIST}add/", {**FORM, **wrong}).context["adminform"].form
    text = {"list_name": "postbacks", "filter_postbacks_version": "first"}
    texts = sign_in(made.owner).post(f"{LIST}add/", {**FORM, **text}).context["adminform"].form

    assert set(form.errors) == {"filter_app"}
    assert set(texts.errors) == {"filter_postbacks_version"}


def test_who_only_reads_sees_the_filters_in_words() -> None:
    made = make.make_tenant()
    sign_in(made.owner).post(f"{LIST}add/", {**FORM, "filter_app": str(made.app.public_id)})
    with tenant(made.organization.pk):
        schedule = ExportSchedule.objects.get()
    analyst = make.make_user(organization=made.organization, role=Role.ANALYST)

    page = sign_in(analyst).get(f"{LIST}{schedule.pk}/change/").content.decode()

    assert f"app: {made.app.name} · event_name: purchase" in page
    assert "filter_events_event_name" not in page
