"""Settings as a file: everybody takes it away, owners bring it in after a look at what it does."""

import json

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import HttpResponse
from django.test import Client

from apps_registry.models import App, AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import filled_form, sign_in
from tests.api.test_api_organization import SECRET, set_up

pytestmark = pytest.mark.django_db(transaction=True)

EXPORT, IMPORT = "/admin/configuration/export/", "/admin/configuration/import/"


def owner_of_empty() -> tuple[Client, int]:
    organization = make.make_organization("Moss Valley")
    return sign_in(make.make_user(organization=organization)), organization.pk


def upload(browser: Client, content: bytes) -> HttpResponse:
    return browser.post(IMPORT, {"file": SimpleUploadedFile("configuration.json", content)})


def apps_of(organization_id: int) -> int:
    with tenant(organization_id):
        return App.objects.count()


def test_a_configuration_goes_from_one_organization_to_another_as_a_file() -> None:
    theirs = set_up()
    file = sign_in(theirs.owner).get(EXPORT)
    browser, organization_id = owner_of_empty()

    plan = upload(browser, file.content).content.decode()

    assert 'attachment; filename="postbacks-gem-harbor' in file.headers["Content-Disposition"]
    assert SECRET.encode() not in file.content
    assert f"App {theirs.app.name}" in plan
    assert "api_key" in plan
    assert apps_of(organization_id) == 0, "nothing has changed yet"

    browser.post(IMPORT, {**filled_form(plan), "confirmed": "yes"})

    assert apps_of(organization_id) == 1
    with tenant(organization_id):
        entry = AuditEntry.objects.get(action="imported")
        assert entry.actor_kind == "person"


def test_a_file_that_changes_nothing_says_so() -> None:
    made = set_up()
    browser = sign_in(made.owner)

    page = upload(browser, browser.get(EXPORT).content).content.decode()

    assert "Everything is as the file says" in page
    assert "confirm_form" not in page


@pytest.mark.parametrize("content", [b"", b"nothing", b"{}", b'"' + b"x" * 1_100_000 + b'"'])
def test_a_file_that_is_none_is_refused_with_a_sentence(content: bytes) -> None:
    browser, organization_id = owner_of_empty()

    answer = upload(browser, content)

    assert answer.status_code == 200
    assert "This can't be brought in" in answer.content.decode()
    assert apps_of(organization_id) == 0


@pytest.mark.parametrize("count", [2, 50_000])
def test_a_file_in_which_a_key_stands_twice_is_refused(count: int) -> None:
    browser, organization_id = owner_of_empty()
    apps = ", ".join(f'"k{n // 2}": []' for n in range(count))
    content = f'{{"format": "postbacks/organization", "version": 1, "a": [{{{apps}}}]}}'

    answer = upload(browser, content.encode())

    assert "stands twice" in answer.content.decode()
    assert apps_of(organization_id) == 0


def test_what_is_wrong_in_a_file_is_named_by_its_place() -> None:
    document = json.loads(sign_in(set_up().owner).get(EXPORT).content)
    document["apps"][0]["platform"] = '"><div x-data="alert(1)">'
    browser, organization_id = owner_of_empty()

    page = upload(browser, json.dumps(document).encode()).content.decode()

    assert "apps 1 platform" in page
    assert "<div x-data=" not in page
    assert apps_of(organization_id) == 0


@pytest.mark.parametrize("role", [Role.MARKETER, Role.ANALYST])
def test_others_than_owners_take_it_away_but_bring_nothing_in(role: Role) -> None:
    made = set_up()
    browser = sign_in(make.make_user(role, organization=made.organization))

    assert browser.get(EXPORT).status_code == 200
    assert browser.get(IMPORT).status_code == 403
    assert upload(browser, b"{}").status_code == 403
    settings = browser.get(f"/admin/apps_registry/organization/{made.organization.pk}/change/")
    assert EXPORT in settings.content.decode()
    assert IMPORT not in settings.content.decode()
