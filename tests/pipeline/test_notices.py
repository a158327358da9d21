"""Owners are told by e-mail when a rule was suspended: each of their own rules, and once."""

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from apps_registry.models import Organization
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery import suspension_notices
from postbacks.infrastructure.database import roles
from postbacks.models import CallbackRule, RuleStatus
from postbacks.worker import tasks
from tests import make
from tests.database import as_role

pytestmark = pytest.mark.django_db(transaction=True)


def suspended_rule(organization: Organization, **fields: object) -> CallbackRule:
    with tenant(organization.pk):
        rule = make.make_rule(**fields)
        CallbackRule.objects.filter(pk=rule.pk).update(status=RuleStatus.SUSPENDED)
    return rule


def look() -> None:
    """Do what the cluster does: each organization's task after the other."""
    with as_role(roles.WORKER):
        for organization_id, rule_id in list(suspension_notices.unnotified_suspensions()):
            tasks.notify_of_suspension(organization_id, rule_id)


def test_owners_are_told_once_of_their_own_rule() -> None:
    ours, theirs = make.make_tenant("Gem Harbor"), make.make_tenant("Moss Valley")
    make.make_user(Role.ANALYST, organization=ours.organization)
    rule = suspended_rule(ours.organization)
    suspended_rule(theirs.organization)

    look()
    look()

    mails = {message.to[0]: message for message in mail.outbox}
    assert set(mails) == {ours.owner.email, theirs.owner.email}
    assert len(mail.outbox) == 2
    assert rule.name in mails[ours.owner.email].subject
    assert f"/admin/postbacks/callbackrule/{rule.pk}/change/" in mails[ours.owner.email].body
    assert rule.name not in mails[theirs.owner.email].body
    assert "held for 7 days" in mails[ours.owner.email].body
    assert "send or to drop what is held" in mails[ours.owner.email].body
    assert f"callback-rules/{rule.public_id}/held" in mails[ours.owner.email].body


def test_a_rule_that_is_suspended_again_is_told_of_again() -> None:
    ours = make.make_tenant()
    rule = suspended_rule(ours.organization)
    look()

    with tenant(ours.organization.pk):
        CallbackRule.objects.filter(pk=rule.pk).update(suspension_told_at=None)  # as the log does
    look()

    assert len(mail.outbox) == 2


def test_rules_of_the_same_name_are_told_of_in_each_organization() -> None:
    """Complaint 39."""
    ours, theirs = make.make_tenant("Gem Harbor"), make.make_tenant("Moss Valley")
    for made in (ours, theirs):
        suspended_rule(made.organization, name="Purchases")

    look()

    assert sorted(message.to[0] for message in mail.outbox) == sorted(
        [ours.owner.email, theirs.owner.email]
    )
    assert {message.subject for message in mail.outbox} == {"Callback rule suspended: Purchases"}


def test_a_name_of_two_lines_can_not_add_headers() -> None:
    ours = make.make_tenant()
    suspended_rule(ours.organization, name="Purchases\r\nBcc: thief@example.com")

    look()

    (sent,) = mail.outbox
    assert sent.subject == "Callback rule suspended: Purchases Bcc: thief@example.com"
    assert sent.recipients() == [ours.owner.email]


def test_a_mail_that_a_mistake_of_ours_stopped_is_tried_again_and_the_task_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    suspended_rule(make.make_tenant().organization)

    def fail(_self: EmailBackend, _messages: object) -> int:
        raise ValueError("a mistake")

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", fail)
        with pytest.raises(ValueError, match="a mistake"):
            look()
    look()

    assert len(mail.outbox) == 1


def test_a_mail_that_can_not_be_sent_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = make.make_tenant()
    suspended_rule(ours.organization)

    def refuse(_self: EmailBackend, _messages: object) -> int:
        raise ConnectionRefusedError

    with monkeypatch.context() as patch:
        patch.setattr(EmailBackend, "send_messages", refuse)
        look()
    assert mail.outbox == []
    look()

    assert len(mail.outbox) == 1


def test_a_task_of_one_organization_finds_nothing_of_another() -> None:
    ours, theirs = make.make_tenant("Gem Harbor"), make.make_tenant("Moss Valley")
    rule = suspended_rule(theirs.organization)

    with as_role(roles.WORKER):
        tasks.notify_of_suspension(ours.organization.pk, rule.pk)

    assert mail.outbox == []


def test_web_finds_nobody_to_tell() -> None:
    suspended_rule(make.make_tenant().organization)

    assert list(suspension_notices.unnotified_suspensions()) == []


def test_a_task_without_an_organization_is_refused() -> None:
    with pytest.raises(TypeError):
        tasks.notify_of_suspension(1)  # type: ignore[call-arg]  # the mistake that is meant
