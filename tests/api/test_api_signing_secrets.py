"""Signing secrets over the API: seen once, changed with an overlap, by owners only."""

import pytest
from standardwebhooks import Webhook

from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import DRAFT, Program, owner_of

pytestmark = pytest.mark.django_db(transaction=True)

SECRETS = "organization/signing-secrets"


def test_the_first_rule_that_signs_makes_the_organizations_secret() -> None:
    api = owner_of(make.make_tenant())
    before = api.get(SECRETS).data["results"]

    api.post("callback-rules", {**DRAFT, "sign": True})
    api.post("callback-rules", {**DRAFT, "name": "Another", "sign": True})

    (secret,) = api.get(SECRETS).data["results"]
    assert before == []
    assert secret.keys() == {"id", "ending", "created_at", "expires_at"}
    assert secret["expires_at"] is None


def test_rotating_answers_a_secret_that_standard_webhooks_reads() -> None:
    api = owner_of(make.make_tenant())

    first = api.post(f"{SECRETS}/rotate", {})
    second = api.post(f"{SECRETS}/rotate", {"overlap_hours": 1})

    assert (first.status, second.status) == (201, 201)
    assert Webhook(second.data["secret"])
    assert second.data["secret"].rstrip("=").endswith(second.data["ending"])
    newest, oldest = api.get(SECRETS).data["results"]
    assert (newest["id"], newest["expires_at"]) == (second.data["id"], None)
    assert oldest["expires_at"] is not None


@pytest.mark.parametrize("hours", [-1, 721, "long"])
def test_an_overlap_is_none_to_thirty_days(hours) -> None:
    answer = owner_of(make.make_tenant()).post(f"{SECRETS}/rotate", {"overlap_hours": hours})

    assert (answer.status, answer.pointers()) == (400, ["/overlap_hours"])


def test_only_owners_rotate() -> None:
    tenant = make.make_tenant()
    with tenant_of(tenant.organization.pk):
        marketer = Program(make.make_api_token(Role.MARKETER))

    assert marketer.get(SECRETS).status == 200
    assert marketer.post(f"{SECRETS}/rotate", {}).status == 403
