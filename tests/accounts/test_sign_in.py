"""Too many tries, lost passwords, sessions."""

import logging
from datetime import UTC, datetime, timedelta

import pytest
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail, signing
from django.test import Client

from apps_registry.models import User
from postbacks.accounts import known_browsers
from postbacks.infrastructure.database import roles
from postbacks.privacy import retention
from tests import make
from tests.accounts.people import PASSWORD, SIGN_IN, link_in_mail, sign_in_by_form
from tests.admin.pages import sign_in
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)
FIREFOX = "Mozilla/5.0 (Windows NT 10.0; rv:146.0) Gecko/20100101 Firefox/146.0"
NEW = "a quite different battery"


def test_guessing_at_one_address_is_throttled() -> None:
    made = make.make_tenant()

    answers = [sign_in_by_form(made.owner, Client(), "wrong") for _ in range(6)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[-1]["Retry-After"] == "300"
    assert "Wait five minutes" in answers[-1].content.decode()


def test_the_right_password_does_not_help_while_an_address_is_throttled() -> None:
    made = make.make_tenant()
    for _ in range(5):
        sign_in_by_form(made.owner, Client(), "wrong")

    answer = sign_in_by_form(made.owner, Client())

    assert answer.status_code == 429


def test_a_strangers_guesses_do_not_keep_a_person_out_of_a_browser_of_theirs() -> None:
    made, other = make.make_tenant(), make.make_tenant("Moss Valley")
    browser, of_other = Client(), Client()
    sign_in_by_form(made.owner, browser)
    sign_in_by_form(other.owner, of_other)
    for each in (browser, of_other):
        each.post("/accounts/logout/")
    for _ in range(6):
        sign_in_by_form(made.owner, Client(), "wrong")

    assert sign_in_by_form(made.owner, of_other).status_code == 429
    assert sign_in_by_form(made.owner, browser).status_code == 302


def test_a_known_browser_has_no_more_tries_than_others() -> None:
    made = make.make_tenant()
    browser = Client()
    sign_in_by_form(made.owner, browser)
    browser.post("/accounts/logout/")

    answers = [sign_in_by_form(made.owner, browser, "wrong") for _ in range(6)]

    assert answers[-1].status_code == 429


def test_a_cookie_that_we_did_not_sign_is_no_known_browser() -> None:
    made = make.make_tenant()
    browser = Client()
    sign_in_by_form(made.owner, browser)
    value = browser.cookies[known_browsers.COOKIE].value
    for _ in range(6):
        sign_in_by_form(made.owner, Client(), "wrong")

    for forged in (value[:-2] + "xx", "junk", signing.dumps({"email": made.owner.email})):
        stranger = Client()
        stranger.cookies[known_browsers.COOKIE] = forged
        assert sign_in_by_form(made.owner, stranger).status_code == 429


def test_guessing_at_many_addresses_from_one_place_is_throttled() -> None:
    addresses = [f"person{number}@example.com" for number in range(21)]

    codes = [
        Client().post(SIGN_IN, {"login": address, "password": "wrong"}).status_code
        for address in addresses
    ]

    assert codes == [200] * 20 + [429]


def test_somebody_else_is_not_throttled_behind_a_trusted_proxy(settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    made = make.make_tenant()
    for number in range(20):
        Client(headers={"X-Forwarded-For": "198.51.100.1"}).post(
            SIGN_IN, {"login": f"person{number}@example.com", "password": "wrong"}
        )

    answer = sign_in_by_form(made.owner, Client(headers={"X-Forwarded-For": "198.51.100.2"}))

    assert answer.status_code == 302


def test_nobody_fills_a_mailbox_with_links() -> None:
    made = make.make_tenant()

    for _ in range(20):
        Client().post("/accounts/password/reset/", {"email": made.owner.email})

    assert len(mail.outbox) == 5


def test_a_stranger_begins_sessions_that_end_soon_and_only_so_many() -> None:
    for _ in range(70):
        Client().get("/accounts/passkeys/login/", headers={"Accept": "application/json"})

    ends = Session.objects.values_list("expire_date", flat=True)
    assert 0 < len(ends) <= 60
    assert max(ends) < datetime.now(UTC) + timedelta(hours=7)


def test_a_session_that_a_person_signs_in_with_lasts_as_usual() -> None:
    made = make.make_tenant()
    browser = Client()
    browser.get("/accounts/passkeys/login/", headers={"Accept": "application/json"})

    sign_in_by_form(made.owner, browser)

    (session,) = Session.objects.all()
    assert session.expire_date > datetime.now(UTC) + timedelta(days=13)
    assert browser.get("/admin/").status_code == 200


def test_sessions_that_have_ended_are_deleted_with_what_they_were_opened_by() -> None:
    made = make.make_tenant()
    here, elsewhere = Client(), Client()
    for browser in (here, elsewhere):
        sign_in_by_form(made.owner, browser)
        browser.get("/accounts/sessions/")
    key = elsewhere.session.session_key
    Session.objects.filter(session_key=key).update(
        expire_date=datetime.now(UTC) - timedelta(days=1)
    )

    with as_role(roles.WORKER):
        while retention.delete_ended_sessions(limit=1):
            pass

    assert Session.objects.count() == UserSession.objects.count() == 1
    assert here.get("/admin/").status_code == 200


def test_an_inactive_person_does_not_get_in() -> None:
    made = make.make_tenant()
    User.objects.filter(pk=made.owner.pk).update(is_active=False)
    browser = Client()

    answer = sign_in_by_form(made.owner, browser)

    assert answer.url == "/accounts/inactive/"
    assert not browser.get(answer.url).wsgi_request.user.is_authenticated


def test_a_lost_password_is_replaced_by_a_link_in_a_mail() -> None:
    made = make.make_tenant()
    browser = Client()

    browser.post("/accounts/password/reset/", {"email": made.owner.email.upper()})
    form = browser.get(link_in_mail(), follow=True)
    browser.post(form.wsgi_request.path, {"password1": NEW, "password2": NEW})

    assert sign_in_by_form(made.owner, Client()).status_code == 200
    assert sign_in_by_form(made.owner, Client(), NEW).url == "/admin/"


def test_a_link_to_a_new_password_works_once_and_leads_to_our_own_address(settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    made = make.make_tenant()
    browser = Client()
    browser.post(
        "/accounts/password/reset/", {"email": made.owner.email}, headers={"host": "evil.example"}
    )
    link = link_in_mail()
    form = browser.get(link, follow=True)
    browser.post(form.wsgi_request.path, {"password1": NEW, "password2": NEW})

    again = Client().get(link, follow=True)

    assert "This link has ended" in again.content.decode()
    assert "evil.example" not in str(mail.outbox[0].body)


def test_a_lost_password_does_not_say_whether_an_address_is_known() -> None:
    made = make.make_tenant()

    answer_to_member = Client().post(
        "/accounts/password/reset/", {"email": made.owner.email}, follow=True
    )
    unknown = Client().post("/accounts/password/reset/", {"email": "no@example.com"}, follow=True)

    assert answer_to_member.content == unknown.content
    assert [message.to for message in mail.outbox] == [[made.owner.email]]


def test_a_mail_server_that_is_away_breaks_no_page(settings, caplog) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    made = make.make_tenant()

    with caplog.at_level(logging.ERROR):
        answer = Client().post("/accounts/password/reset/", {"email": made.owner.email})

    assert answer.status_code == 302
    assert "could not be sent" in caplog.text


def test_a_new_password_signs_other_devices_out() -> None:
    made = make.make_tenant()
    here, elsewhere = Client(), Client()
    sign_in_by_form(made.owner, here)
    sign_in_by_form(made.owner, elsewhere)

    here.post("/accounts/password/", {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW})

    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302


def test_sessions_are_listed_and_ended_everywhere_else() -> None:
    made = make.make_tenant()
    here, elsewhere = Client(headers={"user-agent": FIREFOX}), Client()
    sign_in_by_form(made.owner, here)
    sign_in_by_form(made.owner, elsewhere)
    page = here.get("/accounts/sessions/").content.decode()

    here.post("/accounts/sessions/")

    assert "Firefox on Windows" in page
    assert "Unknown browser" in page
    assert here.get("/admin/").status_code == 200
    assert elsewhere.get("/admin/").status_code == 302


def test_other_peoples_sessions_are_not_ended() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    here, there = Client(), Client()
    sign_in_by_form(ours.owner, here)
    sign_in_by_form(theirs.owner, there)

    here.post("/accounts/sessions/")

    assert there.get("/admin/").status_code == 200


@pytest.mark.parametrize("path", ["/accounts/signup/", "/accounts/email/", "/accounts/3rdparty/"])
def test_what_nobody_needs_has_no_address(path: str) -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get(path)

    assert answer.status_code == 404


def test_naming_another_port_of_the_server_gives_no_more_tries(settings) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    made = make.make_tenant()

    answers = [
        sign_in_by_form(
            made.owner,
            Client(headers={"X-Forwarded-For": f"198.51.100.{port}", "host": f"localhost:{port}"}),
            "wrong",
        )
        for port in range(1, 7)
    ]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
