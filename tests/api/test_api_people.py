"""Members and invitations by the API."""

import pytest
from django.core import mail
from django.test import Client

from apps_registry.models import Invitation, Membership
from apps_registry.people import invitations, members
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import Program, owner_of, program_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_members_are_listed_with_what_owners_may_know() -> None:
    tenant = make.make_tenant()
    make.make_second_factor(tenant.owner)

    (for_owner,) = owner_of(tenant).rows("members")
    (for_analyst,) = program_of(Role.ANALYST, tenant).rows("members")

    assert for_owner == {
        "id": str(tenant.owner.memberships.get().public_id),
        "email": tenant.owner.email,
        "name": "",
        "role": "owner",
        "has_second_factor": True,
        "created_at": for_owner["created_at"],
    }
    assert for_analyst == {**for_owner, "has_second_factor": None}


def test_members_are_filtered_by_role_and_address() -> None:
    tenant = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=tenant.organization)
    api = owner_of(tenant)

    filtered = [api.rows("members", role="analyst"), api.rows("members", email=analyst.email)]

    assert [[row["email"] for row in rows] for rows in filtered] == [[analyst.email]] * 2


def test_a_members_role_is_changed() -> None:
    tenant = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=tenant.organization)
    path = f"members/{analyst.memberships.get().public_id}"

    answer = owner_of(tenant).patch(path, {"role": "marketer"})

    assert (answer.status, answer.data["role"]) == (200, "marketer")
    assert analyst.memberships.get().role == Role.MARKETER


@pytest.mark.parametrize("body", [{"role": "king"}, {"email": "a@example.com"}, {"rank": "owner"}])
def test_nothing_else_of_a_member_is_changed(body) -> None:
    tenant = make.make_tenant()
    path = f"members/{tenant.owner.memberships.get().public_id}"

    answer = owner_of(tenant).patch(path, body)

    assert answer.status == 400
    assert answer.pointers() == [f"/{name}" for name in body]


@pytest.mark.parametrize(("method", "body"), [("PATCH", {"role": "analyst"}), ("DELETE", None)])
def test_the_last_owner_stays(method, body) -> None:
    tenant = make.make_tenant()
    path = f"members/{tenant.owner.memberships.get().public_id}"

    answer = owner_of(tenant).send(method, path, body)

    assert answer.status == 409
    assert "last owner" in answer.data["detail"]
    assert tenant.owner.memberships.get().role == Role.OWNER


def test_a_removed_members_tokens_stop_at_once() -> None:
    tenant = make.make_tenant()
    analyst = make.make_user(Role.ANALYST, organization=tenant.organization)
    with tenant_of(tenant.organization.pk):
        personal = Program(make.make_api_token(Role.ANALYST, user=analyst))
    before = personal.get("apps").status

    owner_of(tenant).delete(f"members/{analyst.memberships.get().public_id}")

    assert (before, personal.get("apps").status) == (200, 403)
    assert not Membership.objects.filter(user=analyst).exists()


def test_an_invitation_is_made_mailed_and_never_shows_its_link() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)

    made = api.post("invitations", {"email": "Ada@example.com", "role": "marketer"})
    (listed,) = api.rows("invitations")

    token = str(mail.outbox[-1].body).partition("/accounts/invitation/")[2].split()[0]
    assert (made.status, made.data["email"], made.data["role"], made.data["status"]) == (
        201,
        "ada@example.com",
        "marketer",
        "open",
    )
    assert mail.outbox[-1].to == ["ada@example.com"]
    assert listed["mailed_at"] is not None
    assert token not in str(made.data) + str(listed)
    assert Invitation.objects.get().token_hash not in str(made.data) + str(listed)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "not an address", "role": "analyst"}, "/email"),
        ({"email": "a@example.com", "role": "king"}, "/role"),
        ({"email": "a@example.com"}, "/role"),
        ({"email": "a@example.com", "role": "analyst", "token": "x"}, "/token"),
    ],
)
def test_what_can_not_be_invited_is_said_at_the_field(body, pointer) -> None:
    answer = owner_of(make.make_tenant()).post("invitations", body)

    assert (answer.status, answer.pointers()) == (400, [pointer])


def test_an_address_is_invited_once_and_members_not_at_all() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    body = {"email": "ada@example.com", "role": "analyst"}
    api.post("invitations", body)

    answers = [
        api.post("invitations", body),
        api.post("invitations", {**body, "email": tenant.owner.email}),
    ]

    assert [(answer.status, answer.pointers()) for answer in answers] == [(400, ["/email"])] * 2
    assert len(mail.outbox) == 1


def test_an_invitation_is_revoked_and_stays_in_the_list() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    invitation = make.make_invitation(tenant.organization)

    answer = api.delete(f"invitations/{invitation.public_id}")

    assert answer.status == 204
    assert [row["status"] for row in api.rows("invitations")] == ["revoked"]
    with pytest.raises(invitations.InvitationClosedError):
        invitations.join(invitation.token_hash, name="Ada", password="a long password")


def test_another_organizations_people_are_not_found() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")
    invitation = make.make_invitation(theirs.organization)
    member = theirs.owner.memberships.get()
    api = owner_of(ours)

    answers = [
        api.get(f"members/{member.public_id}"),
        api.patch(f"members/{member.public_id}", {"role": "analyst"}),
        api.delete(f"members/{member.public_id}"),
        api.get(f"invitations/{invitation.public_id}"),
        api.delete(f"invitations/{invitation.public_id}"),
    ]

    assert [answer.status for answer in answers] == [404] * 5
    assert [row["email"] for row in api.rows("members")] == [ours.owner.email]
    assert api.rows("invitations") == []


def test_a_session_of_the_web_is_no_way_into_the_api() -> None:
    tenant = make.make_tenant()
    browser = Client()
    browser.force_login(tenant.owner)

    assert browser.get("/api/v1/members").status_code == 401


def test_whoever_comes_back_does_not_find_old_tokens_working() -> None:
    tenant = make.make_tenant()
    person = make.make_user(Role.MARKETER, organization=tenant.organization)
    with tenant_of(tenant.organization.pk):
        old = Program(make.make_api_token(Role.MARKETER, user=person))
        members.remove(Membership.objects.get(user=person))

    Membership.objects.create(organization=tenant.organization, user=person, role=Role.MARKETER)

    assert old.get("apps").status == 403
