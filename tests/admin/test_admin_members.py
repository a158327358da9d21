"""The organization's own page and its members."""

import pytest

from apps_registry.models import Membership, Organization, User
from apps_registry.roles import Role
from tests import make
from tests.admin.pages import sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/apps_registry/membership/"


def test_an_owner_renames_the_own_organization_and_finds_no_other() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    browser = sign_in(ours.owner)
    page = "/admin/apps_registry/organization/{}/change/"

    submit(browser, page.format(ours.organization.pk), {"name": "Gem Harbor Games"})
    other = browser.get(page.format(theirs.organization.pk))

    assert Organization.objects.get(pk=ours.organization.pk).name == "Gem Harbor Games"
    assert other.status_code == 302


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


def test_the_last_owner_is_not_removed() -> None:
    made = make.make_tenant()
    membership = made.owner.memberships.get()
    page = f"{LIST}{membership.pk}/delete/"

    answer = sign_in(made.owner).post(page, {"post": "yes"}, follow=True)

    assert "This is the last owner." in answer.content.decode()
    assert made.owner.memberships.exists()


def test_removing_a_member_ends_this_membership_and_nothing_else() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    person = make.make_user(Role.ANALYST, organization=ours.organization)
    Membership.objects.create(organization=theirs.organization, user=person)
    membership = person.memberships.get(organization=ours.organization)

    sign_in(ours.owner).post(f"{LIST}{membership.pk}/delete/", {"post": "yes"})

    assert person.memberships.get().organization == theirs.organization
    assert User.objects.filter(pk=person.pk, is_active=True).exists()


@pytest.mark.parametrize("role", [Role.MARKETER, Role.ANALYST])
def test_only_owners_manage_members(role: Role) -> None:
    made = make.make_tenant()
    browser = sign_in(make.make_user(role, organization=made.organization))
    invitation = make.make_invitation(made.organization)
    membership = made.owner.memberships.get()

    answers = [
        browser.get(f"{LIST}{membership.pk}/delete/"),
        browser.post(f"{LIST}{membership.pk}/delete/", {"post": "yes"}),
        browser.post(f"{LIST}{membership.pk}/change/", {"role": Role.ANALYST}),
        browser.get("/admin/apps_registry/invitation/add/"),
        browser.post("/admin/apps_registry/invitation/add/", {"email": "a@b.co", "role": "owner"}),
        browser.post(f"/admin/apps_registry/invitation/{invitation.pk}/resend/"),
        browser.post(f"/admin/apps_registry/invitation/{invitation.pk}/revoke/"),
    ]
    page = browser.get(LIST).content.decode()

    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert "Invite</a>" not in page
    assert "second factor" not in page.lower()


def test_an_owner_sees_who_has_a_second_factor() -> None:
    made = make.make_tenant()
    make.make_second_factor(made.owner)
    make.make_user(Role.ANALYST, organization=made.organization)

    page = sign_in(made.owner).get(LIST).content.decode()

    assert page.count(">On</span>") == page.count(">Off</span>") == 1
