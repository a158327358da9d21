"""The page of API tokens: one's own for everybody, the organization's for owners."""

import pytest
from django.test import Client

from apps_registry.models import ApiToken
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import filled_form, sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = "/admin/apps_registry/apitoken/"


def _member(made: make.Tenant, role: str) -> Client:
    return sign_in(make.make_user(role, organization=made.organization))


def _stored(made: make.Tenant, name: str) -> ApiToken:
    with tenant(made.organization.pk):
        return ApiToken.objects.get(name=name)


def test_an_analyst_makes_a_token_of_their_own() -> None:
    made = make.make_tenant()
    browser = _member(made, Role.ANALYST)

    answer = submit(browser, f"{PAGE}add/", {"name": "my script", "scopes": ["read"]})

    token = _stored(made, "my script")
    assert "pbt_" in answer.content.decode()
    assert (token.role, token.scopes, token.is_personal) == (Role.ANALYST, ["read"], True)


@pytest.mark.parametrize("asked", [{"role": Role.OWNER}, {"role": Role.MARKETER}])
def test_nobody_gives_a_token_a_role_above_their_own(asked: dict[str, str]) -> None:
    made = make.make_tenant()

    submit(_member(made, Role.ANALYST), f"{PAGE}add/", {"name": "mine", **asked})

    with tenant(made.organization.pk):
        assert not ApiToken.objects.filter(name="mine").exists()


def test_only_an_owner_makes_the_organizations_token() -> None:
    made = make.make_tenant()
    wish = {"name": "nightly", "owner": "organization", "role": Role.ANALYST}

    submit(_member(made, Role.MARKETER), f"{PAGE}add/", wish)
    submit(sign_in(made.owner), f"{PAGE}add/", {**wish, "name": "weekly"})

    assert _stored(made, "nightly").is_personal
    assert not _stored(made, "weekly").is_personal


def test_a_token_is_seen_by_its_person_and_the_organizations_by_owners() -> None:
    made = make.make_tenant()
    analyst = _member(made, Role.ANALYST)
    submit(analyst, f"{PAGE}add/", {"name": "my script"})
    token = _stored(made, "my script")

    own = analyst.get(PAGE).content.decode()
    owners = sign_in(made.owner).get(PAGE).content.decode()
    opened = sign_in(made.owner).get(f"{PAGE}{token.pk}/change/")

    assert ("my script" in own, "… tests" in own) == (True, False)
    assert ("my script" in owners, "… tests" in owners) == (False, True)
    assert opened.status_code == 302


def test_somebody_revokes_their_own_token_and_no_other() -> None:
    made = make.make_tenant()
    analyst = _member(made, Role.ANALYST)
    submit(analyst, f"{PAGE}add/", {"name": "my script"})
    with tenant(made.organization.pk):
        every_token = list(ApiToken.objects.values_list("pk", flat=True))

    analyst.post(PAGE, {"action": "revoke", "_selected_action": every_token, "confirmed": "yes"})

    with tenant(made.organization.pk):
        revoked = ApiToken.objects.exclude(revoked_at=None).values_list("name", flat=True)
        assert list(revoked) == ["my script"]


def test_what_the_role_does_not_allow_is_left_out_of_a_tokens_scopes() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), f"{PAGE}add/", {"name": "reader", "role": Role.ANALYST})

    assert _stored(made, "reader").scopes == ["read", "export"]


def test_scopes_of_which_the_role_allows_none_are_an_error_beside_them() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner),
        f"{PAGE}add/",
        {"name": "reader", "role": Role.ANALYST, "scopes": ["manage"]},
    )

    assert "The role allows none of these" in answer.content.decode()


def test_an_end_in_the_past_is_an_error_beside_it() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner), f"{PAGE}add/", {"name": "late", "expires_at": "2020-01-01T00:00"}
    )

    assert "Choose a moment in the future." in answer.content.decode()


def test_what_a_token_may_do_stays_as_it_was_made() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, f"{PAGE}add/", {"name": "reader", "role": Role.ANALYST})
    page = f"{PAGE}{_stored(made, 'reader').pk}/change/"

    html = browser.get(page).content.decode()
    submit(browser, page, {"role": Role.OWNER, "scopes": ["manage"], "owner": "personal"})

    token = _stored(made, "reader")
    assert set(filled_form(html)) == {"csrfmiddlewaretoken", "name", "expires_at"}
    assert "Export: take lists away as CSV" in html
    assert (token.role, token.scopes, token.is_personal) == (
        Role.ANALYST,
        ["read", "export"],
        False,
    )
