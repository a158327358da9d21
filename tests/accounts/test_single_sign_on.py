"""Sign-in by an identity provider: whom it lets in, and that it makes nobody up."""

import html
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialToken
from django.http import HttpResponse
from django.test import Client

from apps_registry.models import User
from apps_registry.roles import Role
from tests import make
from tests.accounts.identity_provider import identity_provider, settings_of
from tests.accounts.people import code_of

pytestmark = pytest.mark.django_db(transaction=True)
BEGIN = "/accounts/oidc/sso/login/"


def _where_it_leads(page: HttpResponse) -> str:
    """Return the address that the page between us and the provider goes on to."""
    match = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', page.content.decode())
    assert match
    return html.unescape(match.group(1))


@pytest.fixture
def come_back(settings: Any) -> Callable[..., HttpResponse]:
    """Return who goes to the provider and comes back with an answer, and who that is."""

    def come(
        browser: Client, answer: dict[str, str] | None = None, **claims: object
    ) -> HttpResponse:
        with identity_provider({"sub": "1", "name": "Ada Lovelace", **claims}) as address:
            settings.SOCIALACCOUNT_PROVIDERS = settings_of(address)
            there = _where_it_leads(browser.post(BEGIN))
            assert there.startswith(f"{address}/authorize?")
            state = parse_qs(urlsplit(there).query)["state"][0]
            parameters = {"state": state, **(answer or {"code": "a-code"})}
            return browser.get(f"{BEGIN}callback/", parameters, follow=True)

    return come


def test_a_member_is_known_by_the_verified_address(come_back) -> None:
    made = make.make_tenant()
    browser = Client()

    first = come_back(browser, email=made.owner.email.upper(), email_verified=True)
    again = come_back(Client(), email="renamed@example.com", email_verified=True)

    assert first.redirect_chain[-1] == ("/admin/", 302)
    assert first.wsgi_request.user == again.wsgi_request.user == made.owner
    assert not SocialToken.objects.exists(), "the provider's tokens are not kept"


def test_an_invited_person_gets_an_account_and_the_place(come_back) -> None:
    made = make.make_tenant()
    make.make_invitation(made.organization, "ada@example.com", Role.MARKETER)

    answer = come_back(Client(), email="ada@example.com", email_verified=True)

    person = User.objects.get(email="ada@example.com")
    assert answer.wsgi_request.user == person
    assert (person.name, person.has_usable_password()) == ("Ada Lovelace", False)
    assert person.memberships.get().role == Role.MARKETER


@pytest.mark.parametrize("verified", [False, None, "true"])
def test_an_address_that_is_not_verified_is_nobodys(come_back, verified: object) -> None:
    made = make.make_tenant()

    answer = come_back(Client(), email=made.owner.email, email_verified=verified)

    assert "did not confirm your e-mail address" in answer.content.decode()
    assert not answer.wsgi_request.user.is_authenticated


def test_nobody_gets_an_account_without_an_invitation(come_back) -> None:
    answer = come_back(Client(), email="stranger@example.com", email_verified=True)

    assert "You are not a member of an organization yet." in answer.content.decode()
    assert not User.objects.exists()


def test_a_second_factor_is_asked_for_all_the_same(come_back) -> None:
    made = make.make_tenant()
    secret = make.make_second_factor(made.owner)
    browser = Client()

    landing = come_back(browser, email=made.owner.email, email_verified=True)
    browser.post("/accounts/second-factor/enter/", {"code": code_of(secret)})

    assert landing.redirect_chain[-1][0] == "/accounts/second-factor/enter/"
    assert browser.get("/admin/").status_code == 200


def test_who_leaves_the_provider_again_is_told_so(come_back) -> None:
    answer = come_back(Client(), {"error": "access_denied"})

    assert "You left the single sign-on before it was done." in answer.content.decode()


def test_a_provider_that_fails_leads_back_with_a_word(come_back) -> None:
    answer = come_back(Client(), {"error": "server_error"})

    assert "The single sign-on did not work." in answer.content.decode()


def test_a_provider_that_is_away_leads_back_with_a_word(settings) -> None:
    with identity_provider({}) as address:
        settings.SOCIALACCOUNT_PROVIDERS = settings_of(address)

    answer = Client().post(BEGIN, follow=True)

    assert "The single sign-on did not work." in answer.content.decode()


def test_without_the_settings_there_is_no_such_way() -> None:
    page = Client().get("/accounts/login/").content.decode()
    answer = Client().post(BEGIN)

    assert answer.status_code == 404
    assert "Continue with" not in page


def test_a_mere_link_begins_nothing() -> None:
    assert Client().get(BEGIN).status_code == 405
