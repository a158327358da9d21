"""API tokens by the API: their scopes, whose they are, and that none makes one above itself."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps_registry.models import ApiToken, Membership
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import Program, owner_of

pytestmark = pytest.mark.django_db(transaction=True)


def personal(tenant: make.Tenant, role: str) -> Program:
    user = make.make_user(role, organization=tenant.organization)
    with tenant_of(tenant.organization.pk):
        return Program(make.make_api_token(role, user=user))


def make_by(api: Program, **fields: object) -> dict[str, Any]:
    answer = api.post("api-tokens", {"name": "nightly", **fields})
    assert answer.status == 201, answer.data
    return answer.data


def in_days(days: int) -> str:
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def test_a_token_is_shown_once() -> None:
    api = owner_of(make.make_tenant())

    made = make_by(api)
    secret = made.pop("token")

    assert secret.startswith(made["prefix"])
    assert api.get(f"api-tokens/{made['id']}").data == made
    assert secret not in str(api.rows("api-tokens"))
    assert Program(secret).get("apps").status == 200


def test_a_token_has_by_default_what_its_maker_may() -> None:
    tenant = make.make_tenant()

    of_owner = make_by(owner_of(tenant))
    of_analyst = make_by(personal(tenant, Role.ANALYST))

    assert (of_owner["owner"], of_owner["role"]) == ("organization", "owner")
    assert of_owner["scopes"] == ["read", "export", "set_up", "resend", "manage"]
    assert (of_analyst["owner"], of_analyst["role"]) == ("personal", "analyst")
    assert of_analyst["scopes"] == ["read", "export"]


def test_a_scope_that_is_missing_is_named() -> None:
    api = owner_of(make.make_tenant())
    reader = Program(make_by(api, scopes=["read"])["token"])

    read, written = reader.get("apps"), reader.post("apps", {"name": "A", "platform": "ios"})

    assert (read.status, written.status) == (200, 403)
    assert "scope “set_up”" in written.data["detail"]


def test_a_role_that_lacks_a_right_is_told_the_scope_too() -> None:
    api = personal(make.make_tenant(), Role.ANALYST)

    refused = api.post("apps", {"name": "A", "platform": "ios"})

    assert refused.status == 403
    assert "“analyst”" in refused.data["detail"]
    assert "scope “set_up”" in refused.data["detail"]


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"scopes": ["read", "manage"]}, "/scopes"),
        ({"role": "owner", "scopes": ["read", "set_up"]}, "/scopes"),
        ({"role": "analyst", "scopes": ["resend"]}, "/scopes"),
        ({"scopes": []}, "/scopes"),
        ({"scopes": ["everything"]}, "/scopes/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "/expires_at"),
        ({"owner": "personal"}, "/owner"),
        ({"owner": "nobody"}, "/owner"),
        ({"prefix": "pbt_mine"}, "/prefix"),
    ],
)
def test_a_token_that_can_not_be_made_is_refused_with_a_pointer(fields, pointer) -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    narrow = Program(make_by(api, scopes=["read", "resend", "export"])["token"])

    answer = narrow.post("api-tokens", {"name": "wider", **fields})

    assert (answer.status, answer.pointers()) == (400, [pointer])
    with tenant_of(tenant.organization.pk):
        assert not ApiToken.objects.filter(name="wider").exists()


def test_a_person_makes_no_token_above_their_role() -> None:
    api = personal(make.make_tenant(), Role.MARKETER)

    answer = api.post("api-tokens", {"name": "wider", "role": "owner"})

    assert (answer.status, answer.pointers()) == (400, ["/role"])


def test_the_organizations_token_takes_the_scope_manage() -> None:
    tenant = make.make_tenant()

    refused = personal(tenant, Role.MARKETER).post(
        "api-tokens", {"name": "nightly", "owner": "organization"}
    )

    assert refused.status == 403
    assert "“manage”" in refused.data["detail"]


def test_a_token_does_not_outlive_itself_by_making_others() -> None:
    api = owner_of(make.make_tenant())
    short = Program(make_by(api, expires_at=in_days(1))["token"])

    longer = short.post("api-tokens", {"name": "longer", "expires_at": in_days(2)})
    endless = make_by(short)

    assert (longer.status, longer.pointers()) == (400, ["/expires_at"])
    assert endless["expires_at"] is not None


def test_tokens_are_seen_by_their_person_and_the_organizations_by_who_manages() -> None:
    tenant = make.make_tenant()
    analyst, owner = personal(tenant, Role.ANALYST), personal(tenant, Role.OWNER)
    organizations = owner_of(tenant)

    owners = {
        who: [row["owner"] for row in api.rows("api-tokens")]
        for who, api in {"analyst": analyst, "owner": owner, "all": organizations}.items()
    }

    assert owners["analyst"] == ["personal"]
    assert sorted(owners["owner"]) == ["organization", "personal"]
    assert owners["all"] == ["organization"]


def test_a_narrow_program_sees_only_the_token_it_calls_with() -> None:
    api = owner_of(make.make_tenant())
    made = make_by(api, scopes=["read"])
    reader = Program(made.pop("token"))

    assert [row["id"] for row in reader.rows("api-tokens")] == [made["id"]]


def test_a_token_is_revoked_by_who_sees_it() -> None:
    tenant = make.make_tenant()
    analyst, other = personal(tenant, Role.ANALYST), personal(tenant, Role.ANALYST)
    made = make_by(analyst)

    strange = other.delete(f"api-tokens/{made['id']}")
    own = analyst.delete(f"api-tokens/{made['id']}")

    assert (strange.status, own.status) == (404, 204)
    assert Program(made["token"]).get("apps").status == 403


def test_a_personal_tokens_scopes_follow_the_persons_role_of_now() -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        api = Program(make.make_api_token(Role.OWNER, user=tenant.owner))
    Membership.objects.filter(user=tenant.owner).update(role=Role.MARKETER)

    set_up = api.post("apps", {"name": "A", "platform": "ios"})
    managed = api.post("sdk-keys", {"app": str(tenant.app.public_id)})

    assert (set_up.status, managed.status) == (201, 403)


def test_another_organizations_token_is_not_there() -> None:
    tenant, stranger = make.make_tenant(), make.make_tenant()
    made = make_by(owner_of(tenant))

    assert owner_of(stranger).get(f"api-tokens/{made['id']}").status == 404
    assert owner_of(stranger).delete(f"api-tokens/{made['id']}").status == 404


@pytest.mark.parametrize(
    ("caller", "target", "status"),
    [
        ({"role": "owner", "scopes": ["read"]}, {"role": "owner"}, 403),
        ({"role": "owner", "scopes": ["read"]}, {"role": "owner", "scopes": ["read"]}, 403),
        ({"role": "owner", "scopes": ["read", "export", "set_up"]}, {"role": "analyst"}, 403),
        ({"role": "analyst"}, {"role": "owner"}, 403),
        ({"role": "marketer"}, {"role": "owner", "scopes": ["manage"]}, 403),
        ({"role": "marketer"}, {"role": "analyst"}, 204),
        ({"role": "analyst"}, {"role": "owner", "scopes": ["read"]}, 204),
        ({"role": "owner", "scopes": ["read", "manage"]}, {"role": "owner"}, 204),
    ],
)
def test_a_token_revokes_no_token_that_may_more(
    caller: dict[str, object], target: dict[str, object], status: int
) -> None:
    owner = personal(make.make_tenant(), Role.OWNER)
    narrow, other = make_by(owner, **caller), make_by(owner, **target)
    program = Program(narrow["token"])

    answer = program.delete(f"api-tokens/{other['id']}")

    assert answer.status == status
    if status == 403:
        assert "may revoke only itself" in answer.data["detail"]
        assert program.delete(f"api-tokens/{narrow['id']}").status == 204
