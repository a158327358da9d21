"""Mails to people: whatever strangers are called, and call their things, the mail is ours."""

import email
from email.message import EmailMessage, Message
from email.policy import default

import pytest
from django.core import mail
from django.test import Client

from apps_registry.mail_text import one_line
from apps_registry.models import Organization, User
from apps_registry.people import invitations
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery import suspension_notices
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.accounts.people import code_of, confirm, link_in_mail, sign_in_by_form
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)

TURNED = "\N{RIGHT-TO-LEFT OVERRIDE}moc.live\N{POP DIRECTIONAL FORMATTING}"
STRANGE = (
    "A\r\nBcc: thief@example.com\r\n\r\nOpen https://evil.example\u2028"
    f"{TURNED}\x1b<b>&amp;</b>\u2029\x85"
)
FULL = "W" * 120
NAMES = [STRANGE, FULL, "=?utf-8?q?Bcc:_thief?=", "Gem & Häfen <b>"]


def _sent() -> EmailMessage:
    """Return the newest mail as a mail server gets it: one plain text, to those it names."""
    raw = mail.outbox[-1].message().as_bytes()
    sent = email.message_from_bytes(raw, policy=default)
    assert isinstance(sent, EmailMessage)
    assert sent.get_content_type() == "text/plain"
    assert not sent.is_multipart()
    assert {name.lower() for name in sent} <= {
        "content-type",
        "mime-version",
        "content-transfer-encoding",
        "subject",
        "from",
        "to",
        "date",
        "message-id",
    }
    assert max(len(line) for line in raw.splitlines()) < 998  # as RFC 5322 asks
    return sent


def _lines_of(sent: Message) -> list[str]:
    assert isinstance(sent, EmailMessage)
    text = str(sent.get_content())
    assert not {*TURNED, "\x1b"} & {
        char for char in text if not char.isprintable() and char != "\n"
    }
    return text.splitlines()


@pytest.mark.parametrize("name", NAMES)
def test_an_invitation_is_ours_whatever_the_organization_and_the_owner_are_called(
    name: str,
) -> None:
    made = make.make_tenant()
    Organization.objects.filter(pk=made.organization.pk).update(name=name)
    User.objects.filter(pk=made.owner.pk).update(name=name)
    shown = one_line(name)

    made.owner.refresh_from_db()
    invitations.invite(
        organization_id=made.organization.pk,
        email="new@example.com",
        role=Role.ANALYST,
        by=made.owner,
    )

    sent = _sent()
    assert (sent["To"], sent["Subject"]) == ("new@example.com", f"Join {shown} on Postbacks")
    lines = _lines_of(sent)
    assert lines[2] == f"{shown} invites you to {shown} on Postbacks, as analyst."
    assert len([line for line in lines if line.startswith("http")]) == 1
    assert len(lines) == 10


@pytest.mark.parametrize("name", NAMES)
def test_the_word_of_a_suspended_rule_is_ours_whatever_the_rule_is_called(name: str) -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()
        CallbackRule.objects.filter(pk=rule.pk).update(name=name, status=RuleStatus.SUSPENDED)

    with as_role(roles.WORKER), tenant(made.organization.pk):
        suspension_notices.notify_of_suspension(rule.pk)

    sent = _sent()
    assert (sent["To"], sent["Subject"]) == (
        made.owner.email,
        f"Callback rule suspended: {one_line(name)}",
    )
    lines = _lines_of(sent)
    assert lines[0].startswith(f"The callback rule “{one_line(name)}” sends nothing any more")
    assert len(lines) == 5


def test_a_new_password_is_mailed_as_plain_text_without_anybodys_words() -> None:
    made = make.make_tenant()
    User.objects.filter(pk=made.owner.pk).update(name=NAMES[0])

    Client().post("/accounts/password/reset/", {"email": made.owner.email})

    sent = _sent()
    assert sent["To"] == made.owner.email
    assert sent["Subject"] == "[Postbacks] Choose a new password"
    assert link_in_mail().startswith("/accounts/password/reset/key/")
    assert "evil" not in str(sent)


@pytest.mark.parametrize(
    "browser", [STRANGE.encode("latin-1", "ignore").decode("latin-1"), "W" * 10_000]
)
def test_a_security_notice_shows_a_browser_in_one_line(browser: str) -> None:
    made = make.make_tenant()
    client = Client(headers={"User-Agent": browser})
    sign_in_by_form(made.owner, client)
    confirm(client)
    page = client.get("/accounts/second-factor/app/add/").content.decode()
    secret = page.partition('id="totp-secret"')[2].partition(">")[2].partition("<")[0]

    client.post("/accounts/second-factor/app/add/", {"code": code_of(secret)})

    assert mail.outbox
    sent = _sent()
    assert sent["To"] == made.owner.email
    (line,) = (line for line in _lines_of(sent) if line.startswith("Browser: "))
    assert len(line) < 200
    assert not any(line.startswith("Open ") for line in _lines_of(sent))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Gem Harbor", "Gem Harbor"),
        ("  two\r\n\tlines\u2028 and\x85more ", "two lines and more"),
        (f"a{TURNED}b", "amoc.liveb"),
        ("\N{RIGHT-TO-LEFT ISOLATE}x\N{POP DIRECTIONAL ISOLATE}\N{RIGHT-TO-LEFT MARK}", "x"),
        ("נמל", "נמל"),
        ("👩\u200d🚀", "👩\u200d🚀"),
        ("W" * 10_000, "W" * 159 + "…"),
        ("\x00\x1b[31m", "[31m"),
        ("=?utf-8?q?Bcc?=", "= ?utf-8?q?Bcc?="),
    ],
)
def test_a_line_is_one_line_that_turns_nothing_around(text: str, line: str) -> None:
    assert one_line(text) == line
