"""Authenticator apps, recovery codes, and organizations that require a second factor."""

import re

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.test import Client

from apps_registry.models import Membership, Organization
from apps_registry.roles import Role
from tests import make
from tests.accounts.people import ADD_APP, code_of, set_up_app, sign_in_by_form
from tests.admin.pages import filled_form, sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)
ENTER = "/accounts/second-factor/enter/"
CODES = "/accounts/second-factor/recovery-codes/"


def _codes(browser: Client) -> list[str]:
    page = browser.get(CODES).content.decode()
    match = re.search(r'id="recovery-codes"[^>]*>([^<]+)<', page)
    assert match
    return match.group(1).split()


def test_an_app_is_set_up_and_its_code_asked_for_at_the_next_sign_in() -> None:
    made = make.make_tenant()
    browser, later = Client(), Client()
    sign_in_by_form(made.owner, browser)
    secret = set_up_app(browser)

    after_password = sign_in_by_form(made.owner, later)
    before_code = later.get("/admin/")
    after_code = later.post(ENTER, {"code": code_of(secret)})

    assert after_password.url == ENTER
    assert before_code.status_code == 302
    assert after_code.url == "/admin/"
    assert later.get("/admin/").status_code == 200


def test_a_wrong_code_does_not_get_in_and_guessing_codes_is_throttled() -> None:
    made = make.make_tenant()
    secret = make.make_second_factor(made.owner)
    browser = Client()
    sign_in_by_form(made.owner, browser)

    pages = [browser.post(ENTER, {"code": "000000"}).content.decode() for _ in range(6)]
    right = browser.post(ENTER, {"code": code_of(secret)})

    assert "This code does not fit" in pages[0]
    assert "Too many tries" in pages[-1]
    assert right.status_code == 200


def test_a_code_is_good_for_one_sign_in() -> None:
    made = make.make_tenant()
    code = code_of(make.make_second_factor(made.owner))
    first, second = Client(), Client()
    for browser in (first, second):
        sign_in_by_form(made.owner, browser)

    codes = [browser.post(ENTER, {"code": code}).status_code for browser in (first, second)]

    assert codes == [302, 200]


def test_a_recovery_code_signs_in_once() -> None:
    made = make.make_tenant()
    browser, first, second = Client(), Client(), Client()
    sign_in_by_form(made.owner, browser)
    set_up_app(browser)
    code = _codes(browser)[0]
    for later in (first, second):
        sign_in_by_form(made.owner, later)

    answers = [later.post(ENTER, {"code": code}).status_code for later in (first, second)]

    assert answers == [302, 200]
    assert code not in _codes(browser)
    assert len(_codes(browser)) == 9


def test_the_secrets_of_second_factors_are_sealed() -> None:
    made = make.make_tenant()
    browser = Client()
    sign_in_by_form(made.owner, browser)

    secret = set_up_app(browser)

    stored = [str(row.data) for row in Authenticator.objects.filter(user=made.owner)]
    assert len(stored) == 2
    assert not [data for data in stored if secret in data]


def test_setting_up_needs_the_password_once_more_and_is_told_by_mail() -> None:
    made = make.make_tenant()
    browser = Client()
    sign_in_by_form(made.owner, browser)

    before = browser.get(ADD_APP)
    set_up_app(browser)

    assert before.url.startswith("/accounts/confirm/")
    assert "It wasn't you?" in str(mail.outbox[-1].body)


def test_an_app_is_turned_off_with_its_recovery_codes() -> None:
    made = make.make_tenant()
    browser = Client()
    sign_in_by_form(made.owner, browser)
    set_up_app(browser)

    browser.post("/accounts/second-factor/app/remove/")

    assert not Authenticator.objects.exists()
    assert sign_in_by_form(made.owner, Client()).url == "/admin/"


def _require(organization: Organization) -> None:
    Organization.objects.filter(pk=organization.pk).update(require_second_factor=True)


@pytest.mark.parametrize("page", ["/admin/", "/admin/postbacks/event/"])
def test_where_it_is_required_pages_wait_for_a_second_factor(page: str) -> None:
    made = make.make_tenant()
    _require(made.organization)
    browser = Client()
    sign_in_by_form(made.owner, browser)

    before = browser.get(page)
    set_up_app(browser)
    after = browser.get(page)

    assert before.url == "/accounts/second-factor/"
    assert after.status_code == 200


def test_where_it_is_required_nothing_is_written_without_it() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    address = f"/admin/apps_registry/organization/{made.organization.pk}/change/"
    form = filled_form(browser.get(address).content.decode())
    _require(made.organization)

    answer = browser.post(address, {**form, "name": "Changed"})

    assert answer.url == "/accounts/second-factor/"
    assert Organization.objects.get(pk=made.organization.pk).name == made.organization.name


def test_a_session_from_before_the_second_factor_must_show_it() -> None:
    made = make.make_tenant()
    _require(made.organization)
    older = Client()
    sign_in_by_form(made.owner, older)
    secret = make.make_second_factor(made.owner)

    redirect = older.get("/admin/postbacks/event/")
    answer = older.post(redirect.url, {"code": code_of(secret), "next": "/admin/postbacks/event/"})

    assert redirect.url.startswith("/accounts/second-factor/confirm/?next=")
    assert answer.url == "/admin/postbacks/event/"
    assert older.get(answer.url).status_code == 200


def test_who_turns_the_second_factor_off_again_stands_outside() -> None:
    made = make.make_tenant()
    _require(made.organization)
    browser = Client()
    sign_in_by_form(made.owner, browser)
    set_up_app(browser)

    browser.post("/accounts/second-factor/app/remove/")

    assert browser.get("/admin/").url == "/accounts/second-factor/"


def test_an_organization_that_requires_nothing_is_open_to_the_same_person() -> None:
    strict, relaxed = make.make_tenant("Strict"), make.make_tenant("Relaxed")
    _require(strict.organization)
    Membership.objects.create(organization=relaxed.organization, user=strict.owner)
    browser = sign_in(strict.owner)

    answer = browser.post(
        "/admin/switch-organization/", {"organization": relaxed.organization.public_id}, follow=True
    )

    assert answer.status_code == 200
    assert relaxed.organization.name in answer.content.decode()


def test_api_tokens_are_not_affected() -> None:
    made = make.make_tenant()
    _require(made.organization)

    answer = Client(headers={"Authorization": f"Bearer {made.api_token}"}).get("/api/v1/apps")

    assert answer.status_code == 200


def test_an_owner_without_a_second_factor_can_not_require_one() -> None:
    made = make.make_tenant()
    address = f"/admin/apps_registry/organization/{made.organization.pk}/change/"

    page = submit(sign_in(made.owner), address, {"require_second_factor": "on"}).content.decode()

    assert "You have no second factor yourself." in page
    assert 'href="/accounts/second-factor/"' in page
    assert not Organization.objects.get(pk=made.organization.pk).require_second_factor


def test_an_owner_with_a_second_factor_requires_one() -> None:
    made = make.make_tenant()
    make.make_second_factor(made.owner)
    address = f"/admin/apps_registry/organization/{made.organization.pk}/change/"

    submit(sign_in(made.owner), address, {"require_second_factor": "on"})

    assert Organization.objects.get(pk=made.organization.pk).require_second_factor


def test_only_owners_require_a_second_factor() -> None:
    made = make.make_tenant()
    marketer = make.make_user(Role.MARKETER, organization=made.organization)
    make.make_second_factor(marketer)
    address = f"/admin/apps_registry/organization/{made.organization.pk}/change/"

    answer = sign_in(marketer).post(
        address, {"name": "Changed", "time_zone": "UTC", "require_second_factor": "on"}
    )

    assert answer.status_code == 403


def test_a_prefix_of_the_address_is_no_way_around_a_required_factor() -> None:
    made = make.make_tenant()
    Organization.objects.filter(pk=made.organization.pk).update(require_second_factor=True)
    browser = sign_in(made.owner)

    answer = browser.get("/admin/", SCRIPT_NAME="/x")  # as a proxy names it in a header

    assert answer.status_code == 302
