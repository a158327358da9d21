"""From an invitation to a membership, and every way in which that does not happen."""

import threading
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connection, models
from django.test import Client
from django.utils import timezone

from apps_registry.crypto.keys import hash_key
from apps_registry.models import Invitation, Membership, User
from apps_registry.people import invitations
from apps_registry.roles import Role
from postbacks.infrastructure.rate_limits.counting import RateLimit
from tests import make
from tests.accounts.people import PASSWORD, link_in_mail, sign_in_by_form
from tests.admin.pages import sign_in, submit
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)
INVITE = "/admin/apps_registry/invitation/add/"
PAGE = "/accounts/invitation/"
ANSWER = {"name": "Ada Lovelace", "password": PASSWORD}


def _words(client: Client) -> str:
    return client.get(PAGE).content.decode()


def test_somebody_new_is_invited_and_joins() -> None:
    made = make.make_tenant()
    submit(sign_in(made.owner), INVITE, {"email": " Ada@Example.com ", "role": Role.MARKETER})
    browser = Client()

    page = browser.get(link_in_mail(), follow=True).content.decode()
    joined = browser.post(PAGE, ANSWER)

    assert mail.outbox[-1].to == ["ada@example.com"]
    assert made.organization.name in page
    assert "marketer" in page
    assert joined.url == "/admin/"
    assert browser.get("/admin/").status_code == 200
    membership = Membership.objects.get(user__email="ada@example.com")
    assert (membership.role, membership.user.name) == (Role.MARKETER, "Ada Lovelace")


@pytest.mark.parametrize("token", ["pbi_junk", "x", "pbi_" + "a" * 43, "pbk_sdk-key", "%00"])
def test_a_junk_link_leaves_no_session(token: str) -> None:
    browser = Client()

    answer = browser.get(f"/accounts/invitation/{token}", follow=True)

    assert answer.status_code == 404
    assert Session.objects.count() == 0
    assert "sessionid" not in browser.cookies


def test_a_junk_link_takes_the_place_of_an_invitation_that_was_open_before() -> None:
    made = make.make_tenant()
    make.make_invitation(made.organization)
    browser = Client()
    browser.get(link_in_mail())

    answer = browser.get("/accounts/invitation/pbi_junk", follow=True)

    assert answer.status_code == 404


def test_an_organization_invites_so_many_in_an_hour_and_no_more(settings) -> None:
    settings.RATE_LIMIT_INVITATIONS = RateLimit(5, 3600)
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    rows = [make.make_invitation(ours.organization) for _ in range(4)]
    invitations.revoke(rows[0])  # a mail that was sent stays sent
    api = owner_of(ours)

    last = api.post("invitations", {"email": "fifth@example.com", "role": "analyst"})
    refused = api.post("invitations", {"email": "sixth@example.com", "role": "analyst"})
    page = submit(sign_in(ours.owner), INVITE, {"email": "s@example.com", "role": Role.ANALYST})
    resent = sign_in(ours.owner).post(
        f"/admin/apps_registry/invitation/{rows[1].pk}/resend/", follow=True
    )
    others = owner_of(theirs).post("invitations", {"email": "a@example.com", "role": "analyst"})

    assert (last.status, refused.status, others.status) == (201, 429, 201)
    assert 3_500 < int(refused.headers["Retry-After"]) <= 3_600
    assert "as many as it may. Try again in 60 min." in page.content.decode()
    assert "as many as it may" in resent.content.decode()
    assert len(mail.outbox) == 6

    Invitation.objects.update(expires_at=models.F("expires_at") - timedelta(hours=1))
    later = api.post("invitations", {"email": "later@example.com", "role": "analyst"})
    assert later.status == 201


def test_the_link_is_in_the_mail_and_nowhere_else(caplog) -> None:
    made = make.make_tenant()
    browser = Client()

    with caplog.at_level("DEBUG"):
        invitation = make.make_invitation(made.organization)
        token = link_in_mail().rpartition("/")[2]
        answer = browser.get(link_in_mail())
        page = browser.get(answer.url)

    assert invitation.token_hash == hash_key(token)
    assert token not in answer.url + page.content.decode() + caplog.text
    assert token not in str(dict(browser.session))


def test_a_person_with_an_account_signs_in_first_and_joins_with_one_button() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    make.make_invitation(ours.organization, theirs.owner.email)
    browser = Client()

    sign_in_page = browser.get(link_in_mail(), follow=True).content.decode()
    signed_in = browser.post(
        "/accounts/login/", {"login": theirs.owner.email, "password": PASSWORD, "next": PAGE}
    )
    offered = _words(browser)
    joined = browser.post(PAGE, follow=True)

    assert "Sign in to join" in sign_in_page
    assert signed_in.url == PAGE
    assert f"Join {ours.organization}" in offered
    assert f"Welcome to {ours.organization}" in joined.content.decode()
    assert joined.wsgi_request.membership.organization == ours.organization
    assert theirs.owner.memberships.count() == 2


def test_a_person_without_any_membership_signs_in_to_accept() -> None:
    made = make.make_tenant()
    person = User.objects.create_user("new@example.com", PASSWORD)
    make.make_invitation(made.organization, person.email)
    browser = Client()
    browser.get(link_in_mail())

    browser.post("/accounts/login/", {"login": person.email, "password": PASSWORD, "next": PAGE})
    browser.post(PAGE)

    assert person.memberships.get().organization == made.organization


def test_somebody_else_is_told_that_it_is_not_theirs() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    make.make_invitation(ours.organization)
    browser = sign_in(theirs.owner)
    browser.get(link_in_mail())

    page = _words(browser)
    browser.post(PAGE)

    assert "This is for somebody else" in page
    assert not theirs.owner.memberships.filter(organization=ours.organization).exists()


def test_an_account_is_not_taken_over_by_an_invitation() -> None:
    made = make.make_tenant()
    make.make_invitation(made.organization, "new@example.com")
    person = User.objects.create_user("new@example.com", PASSWORD)
    browser = Client()
    browser.get(link_in_mail())

    browser.post(PAGE, {"name": "Mallory", "password": "another horse battery"})

    person.refresh_from_db()
    assert person.check_password(PASSWORD)
    assert not person.memberships.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"accepted_at": timezone.now()}, "Accepted already"),
        ({"revoked_at": timezone.now()}, "Taken back"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "Too late"),
    ],
)
def test_an_invitation_that_has_ended_says_so(change: dict[str, object], words: str) -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)
    Invitation.objects.filter(pk=invitation.pk).update(**change)
    browser = Client()

    page = browser.get(link_in_mail(), follow=True)
    browser.post(PAGE, ANSWER)

    assert page.status_code == 410
    assert words in page.content.decode()
    assert not User.objects.filter(email=invitation.email).exists()


def test_a_link_that_never_was_is_not_found() -> None:
    answer = Client().get("/accounts/invitation/pbi_made-up", follow=True)

    assert answer.status_code == 404
    assert "No such invitation" in answer.content.decode()


def test_a_weak_password_is_refused_beside_the_field() -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)
    browser = Client()
    browser.get(link_in_mail())

    page = browser.post(PAGE, {"name": "Ada", "password": "short"}).content.decode()

    assert "at least 10 characters" in page
    assert not User.objects.filter(email=invitation.email).exists()


def test_of_two_who_accept_at_once_one_does() -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)
    start, outcomes = threading.Barrier(2), []

    def join() -> None:
        start.wait()
        try:
            invitations.join(invitation.token_hash, name="Ada", password=PASSWORD)
            outcomes.append("joined")
        except invitations.InvitationClosedError as closed:
            outcomes.append(str(closed.state))
        finally:
            connection.close()

    threads = [threading.Thread(target=join) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(outcomes) == ["accepted", "joined"]
    assert User.objects.filter(email=invitation.email).count() == 1


def test_sent_again_the_new_link_works_and_the_old_one_does_not() -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)
    old = link_in_mail()
    Invitation.objects.filter(pk=invitation.pk).update(expires_at=timezone.now())

    sign_in(made.owner).post(f"/admin/apps_registry/invitation/{invitation.pk}/resend/")

    assert link_in_mail() != old
    assert Client().get(old, follow=True).status_code == 404
    assert Client().get(link_in_mail(), follow=True).status_code == 200


def test_taken_back_the_link_ends() -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)

    sign_in(made.owner).post(f"/admin/apps_registry/invitation/{invitation.pk}/revoke/")

    assert Client().get(link_in_mail(), follow=True).status_code == 410


def test_an_invitation_that_was_accepted_is_not_sent_again() -> None:
    made = make.make_tenant()
    invitation = make.make_invitation(made.organization)
    invitations.join(invitation.token_hash, name="Ada", password=PASSWORD)

    page = sign_in(made.owner).post(
        f"/admin/apps_registry/invitation/{invitation.pk}/resend/", follow=True
    )

    assert "accepted, so not sent again" in page.content.decode()
    assert len(mail.outbox) == 1


def test_an_open_invitation_is_made_once() -> None:
    made = make.make_tenant()
    make.make_invitation(made.organization, "ada@example.com")

    answer = submit(sign_in(made.owner), INVITE, {"email": "Ada@example.com"})

    assert "This address is invited already." in answer.content.decode()
    assert len(mail.outbox) == 1


def test_of_two_who_invite_an_address_at_once_one_does() -> None:
    made = make.make_tenant()
    start, codes = threading.Barrier(4), []

    def invite(browser: Client) -> None:
        start.wait()
        answer = browser.post(INVITE, {"email": "x@example.com", "role": "analyst"})
        codes.append(answer.status_code)
        connection.close()

    threads = [threading.Thread(target=invite, args=[sign_in(made.owner)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(codes) == [200, 200, 200, 302]
    assert Invitation.objects.filter(email="x@example.com").count() == 1


def test_an_expired_invitation_makes_room_for_another() -> None:
    made = make.make_tenant()
    first = make.make_invitation(made.organization, "ada@example.com")
    Invitation.objects.filter(pk=first.pk).update(expires_at=timezone.now())

    make.make_invitation(made.organization, "ada@example.com")

    assert Invitation.objects.filter(email="ada@example.com", revoked_at=None).count() == 1


def test_a_member_is_not_invited() -> None:
    made = make.make_tenant()

    with pytest.raises(ValidationError, match="already a member"):
        make.make_invitation(made.organization, made.owner.email.upper())


def test_other_organizations_invitations_are_out_of_reach() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    invitation = make.make_invitation(theirs.organization)
    browser = sign_in(ours.owner)

    answers = [
        browser.post(f"/admin/apps_registry/invitation/{invitation.pk}/{action}/").status_code
        for action in ("resend", "revoke")
    ]

    invitation.refresh_from_db()
    assert answers == [404, 404]
    assert invitation.revoked_at is None
    assert invitation.email not in browser.get("/admin/apps_registry/membership/").content.decode()


def test_a_mail_that_did_not_go_out_is_shown(settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    made = make.make_tenant()

    make.make_invitation(made.organization)

    page = sign_in(made.owner).get("/admin/apps_registry/membership/").content.decode()
    assert "Not mailed" in page


def test_who_was_invited_signs_in_with_a_second_factor_of_another_organization() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    make.make_second_factor(theirs.owner)
    make.make_invitation(ours.organization, theirs.owner.email)
    browser = Client()
    browser.get(link_in_mail())

    answer = sign_in_by_form(theirs.owner, browser)

    assert answer.url == "/accounts/second-factor/enter/"
    assert "Sign in to join" in _words(browser)
