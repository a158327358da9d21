"""What owners find in the audit log about people."""

import pytest
from django.test import Client

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.accounts.people import PASSWORD, link_in_mail, set_up_app, sign_in_by_form
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)


def _entries(made: make.Tenant) -> list[tuple[str, str, str, str]]:
    with tenant(made.organization.pk):
        return list(
            AuditEntry.objects.order_by("id").values_list(
                "action", "object_type", "object_name", "actor_name"
            )
        )


def test_sign_in_and_sign_out_are_kept_in_each_organization_of_a_person() -> None:
    made, other = make.make_tenant("Ours"), make.make_tenant("Theirs")
    person = made.owner.email
    before = len(_entries(made))
    browser = Client()

    sign_in_by_form(made.owner, browser)
    browser.post("/admin/logout/")

    assert _entries(made)[before:] == [
        ("signed_in", "", person, person),
        ("signed_out", "", person, person),
    ]
    assert not [entry for entry in _entries(other) if entry[3] == person]


def test_inviting_joining_and_taking_back_are_kept_with_who_did_it() -> None:
    made = make.make_tenant()
    owner = sign_in(made.owner)
    before = len(_entries(made))

    submit(
        owner,
        "/admin/apps_registry/invitation/add/",
        {"email": "ada@example.com", "role": Role.ANALYST},
    )
    browser = Client()
    browser.get(link_in_mail())
    browser.post("/accounts/invitation/", {"name": "Ada", "password": PASSWORD})

    entries = _entries(made)[before:]
    assert ("created", "invitation", "ada@example.com (Analyst)", made.owner.email) in entries
    assert ("created", "membership", "ada@example.com", "ada@example.com") in entries
    assert ("signed_in", "", "ada@example.com", "ada@example.com") in entries


def test_no_entry_holds_a_key_of_a_link() -> None:
    made = make.make_tenant()

    invitation = make.make_invitation(made.organization)

    token = link_in_mail().rpartition("/")[2]
    with tenant(made.organization.pk):
        entries = str(list(AuditEntry.objects.values()))
    assert token not in entries
    assert invitation.token_hash not in entries


def test_owners_find_when_somebody_sets_a_second_factor_up_or_takes_it_away() -> None:
    made = make.make_tenant()
    person = make.make_user(Role.ANALYST, organization=made.organization)
    browser = Client()
    sign_in_by_form(person, browser)
    before = len(_entries(made))

    set_up_app(browser)
    browser.post("/accounts/second-factor/app/remove/")

    with tenant(made.organization.pk):
        entries = list(AuditEntry.objects.order_by("id")[before:])
    assert [entry.actor_name for entry in entries] == [person.email] * 2
    assert [entry.changes for entry in entries] == [
        {"second_factor": [None, "Authenticator app"]},
        {"second_factor": ["Authenticator app", None]},
    ]
