"""Who gets into the admin, and what everybody sees there."""

import pytest
from django.contrib import admin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.test import Client

from apps_registry.models import App, Membership, User
from apps_registry.roles import Role
from tests import make
from tests.admin.pages import sign_in

SIGN_IN = "/accounts/login/"
pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize("role", list(Role))
def test_a_member_of_any_role_signs_in_however_the_address_is_written(role: Role) -> None:
    made = make.make_tenant()
    person = make.make_user(role, organization=made.organization)

    answer = Client().post(
        SIGN_IN, {"login": person.email.upper(), "password": "correct horse battery"}, follow=True
    )

    assert answer.redirect_chain == [("/admin/", 302)]
    assert made.organization.name in answer.content.decode()


def test_a_person_who_is_no_member_is_told_so() -> None:
    User.objects.create_user("new@example.com", "correct horse battery")

    answer = Client().post(
        SIGN_IN, {"login": "new@example.com", "password": "correct horse battery"}, follow=True
    )

    assert "You are not a member of an organization yet." in answer.content.decode()
    assert not answer.wsgi_request.user.is_authenticated


def test_a_person_who_is_signed_in_but_no_member_any_more_is_told_so() -> None:
    person = User.objects.create_user("new@example.com", "correct horse battery")

    answer = sign_in(person).get("/admin/", follow=True)

    assert "You are not a member of an organization yet." in answer.content.decode()
    assert answer.status_code == 200


@pytest.mark.parametrize("wanted", ["https://evil.example/", "//evil.example", "javascript:x"])
def test_sign_in_leads_to_no_other_site(wanted: str) -> None:
    made = make.make_tenant()

    answer = Client().post(
        SIGN_IN,
        {"login": made.owner.email, "password": "correct horse battery", "next": wanted},
    )

    assert answer.url == "/admin/"


def test_sign_in_leads_to_the_page_that_was_asked_for() -> None:
    made = make.make_tenant()
    browser = Client()
    page = browser.get("/admin/postbacks/event/", follow=True)

    answer = browser.post(
        SIGN_IN,
        {
            "login": made.owner.email,
            "password": "correct horse battery",
            "next": page.wsgi_request.GET["next"],
        },
    )

    assert answer.url == "/admin/postbacks/event/"


def test_a_person_who_lost_the_membership_is_sent_to_sign_in() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    Membership.objects.filter(user=made.owner).delete()

    answer = browser.get("/admin/postbacks/event/")

    assert answer.status_code == 302
    assert answer.url.startswith("/admin/login/")


def test_a_wrong_password_does_not_say_whether_the_address_is_known() -> None:
    made = make.make_tenant()

    known = Client().post(SIGN_IN, {"login": made.owner.email, "password": "wrong"})
    unknown = Client().post(SIGN_IN, {"login": "no@example.com", "password": "wrong"})

    assert known.context["form"].errors == unknown.context["form"].errors
    assert "do not belong together" in known.content.decode()


def test_only_our_own_pages_exist() -> None:
    packages = {model._meta.app_label for model in admin.site._registry}

    assert packages == {"apps_registry", "postbacks"}


def test_the_front_page_shows_no_recent_actions() -> None:
    made = make.make_tenant()
    LogEntry.objects.create(
        user=made.owner,
        content_type=ContentType.objects.get_for_model(App),
        object_id="1",
        object_repr="Of another organization",
        action_flag=CHANGE,
    )

    page = sign_in(made.owner).get("/admin/").content.decode()

    assert "Of another organization" not in page
    assert "Recent actions" not in page
