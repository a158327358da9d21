"""The organization's own page and its members."""

import pytest

from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Role
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/apps_registry/membership/add/"


def test_an_owner_renames_the_own_organization_and_finds_no_other() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    browser = sign_in(ours.owner)
    page = "/admin/apps_registry/organization/{}/change/"

    submit(browser, page.format(ours.organization.pk), {"name": "Gem Harbor Games"})
    other = browser.get(page.format(theirs.organization.pk))

    assert Organization.objects.get(pk=ours.organization.pk).name == "Gem Harbor Games"
    assert other.status_code == 302


def test_a_person_with_an_account_is_added_by_address() -> None:
    made = make.make_tenant()
    person = User.objects.create_user("new@example.com", "correct horse battery")

    submit(sign_in(made.owner), ADD, {"email": "New@Example.com", "role": Role.MARKETER})

    membership = Membership.objects.get(user=person)
    assert (membership.organization_id, membership.role) == (made.organization.pk, Role.MARKETER)


@pytest.mark.parametrize(
    ("email", "words"),
    [
        ("nobody@example.com", "Nobody has an account with this address."),
        ("member@example.com", "This person is already a member."),
    ],
)
def test_who_can_not_be_added_is_said_beside_the_address(email: str, words: str) -> None:
    made = make.make_tenant()
    person = User.objects.create_user("member@example.com", "correct horse battery")
    Membership.objects.create(organization=made.organization, user=person)

    answer = submit(sign_in(made.owner), ADD, {"email": email, "role": Role.ANALYST})

    assert words in answer.content.decode()


def test_the_last_owner_can_not_step_down() -> None:
    made = make.make_tenant()
    membership = made.owner.memberships.get()
    page = f"/admin/apps_registry/membership/{membership.pk}/change/"

    answer = submit(sign_in(made.owner), page, {"role": Role.ANALYST})

    assert "This is the last owner." in answer.content.decode()
    assert made.owner.memberships.get().role == Role.OWNER


def test_one_of_two_owners_can_step_down() -> None:
    made = make.make_tenant()
    make.make_user(Role.OWNER, organization=made.organization)
    membership = made.owner.memberships.get()
    page = f"/admin/apps_registry/membership/{membership.pk}/change/"

    submit(sign_in(made.owner), page, {"role": Role.ANALYST})

    assert made.owner.memberships.get().role == Role.ANALYST
