"""How many rules an app and an organization have, and how large they are together."""

from typing import Any

import pytest

from apps_registry.models import App
from apps_registry.tenancy import tenant as tenant_of
from postbacks.callbacks.rules.definition import VALUE_BYTES
from postbacks.models import CallbackRule, RuleStatus
from postbacks.models.rules import LARGEST_RULES, MOST_RULES, MOST_RULES_OF_APP
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import DRAFT, owner_of

pytestmark = pytest.mark.django_db(transaction=True)


def fill(of: make.Tenant, count: int, **fields: Any) -> None:
    """Store rules that nobody has to compile."""
    with tenant_of(of.organization.pk):
        CallbackRule.objects.bulk_create(
            CallbackRule(
                name=f"Old {n} {sorted(fields)}",
                url=DRAFT["url"],
                organization=of.organization,
                **fields,
            )
            for n in range(count)
        )


def second_app(of: make.Tenant) -> App:
    with tenant_of(of.organization.pk):
        return App.objects.create(name="Second", platform="android")


def test_an_app_has_at_most_so_many_rules_with_those_for_all_apps() -> None:
    gem = make.make_tenant()
    owner, app, other = owner_of(gem), str(gem.app.public_id), second_app(gem)
    kept = owner.post("callback-rules", {**DRAFT, "app": app}).data
    moving = owner.post("callback-rules", {**DRAFT, "name": "M", "app": str(other.public_id)}).data
    fill(gem, MOST_RULES_OF_APP - 2, app=gem.app)
    fill(gem, 1)
    fill(gem, 5, app=gem.app, status=RuleStatus.ARCHIVED)

    refused = owner.post("callback-rules", {**DRAFT, "name": "New", "app": app})
    moved = owner.patch(f"callback-rules/{moving['id']}", {"app": app})
    copied = owner.post(f"callback-rules/{moving['id']}/copy", {"apps": [app]})
    changed = owner.patch(f"callback-rules/{kept['id']}", {"url": DRAFT["url"] + "?b=1"})
    of_other = owner.post("callback-rules", {**DRAFT, "name": "O", "app": str(other.public_id)})
    for_all = owner.post("callback-rules", {**DRAFT, "name": "A"})
    owner.delete(f"callback-rules/{kept['id']}")
    now = owner.post("callback-rules", {**DRAFT, "name": "New", "app": app})

    for answer in (refused, moved, copied, for_all):
        assert (answer.status, answer.pointers()) == (400, ["/app"])
        assert f"at most {MOST_RULES_OF_APP:,} rules" in answer.details()
    assert [each.status for each in (changed, of_other, now)] == [200, 201, 201]


def test_an_organization_has_at_most_so_many_rules_at_every_door() -> None:
    gem = make.make_tenant()
    owner = owner_of(gem)
    kept = owner.post("callback-rules", DRAFT).data
    fill(gem, MOST_RULES - 1)
    client = sign_in(gem.owner)

    refused = owner.post("callback-rules", {**DRAFT, "name": "New"})
    page = client.post(
        "/admin/postbacks/callbackrule/add/",
        {
            "name": "New",
            "status": "draft",
            "triggers": "install",
            "url": DRAFT["url"],
            "frequency": "every",
            "attribution_scope": "everyone",
            "sampling_percent": 100,
            "delay_seconds": 0,
            "without_consent": "strip",
            "method": "GET",
            "body_type": "none",
            "missing_values": "empty",
            "success_codes": "2xx",
            "timeout_seconds": 15,
            "retry_delays": "5",
            "conditions_join": "all",
            "auth_type": "none",
        },
    )
    document = owner.get("organization/export").data
    others = [part for part in document["callback_rules"] if part["name"] == DRAFT["name"]]
    document["callback_rules"] = [{**others[0], "name": "Imported"}]
    imported = owner.post("organization/import", document)
    changed = owner.patch(f"callback-rules/{kept['id']}", {"status": "active"})

    assert (refused.status, refused.pointers()) == (400, ["/name"])
    sentence = f"An organization has at most {MOST_RULES:,} rules."
    assert sentence in refused.details()
    assert page.status_code == 200
    assert sentence in page.content.decode()
    assert sentence in str(imported.data)
    assert changed.status == 200


@pytest.mark.parametrize(
    "written",
    [
        {"conditions": {"all": [{"field": "country", "operator": "in", "value": ["DE"] * 1000}]}},
        {"conditions": {"all": [{"field": "params.a", "operator": "in", "value": "1," * 500}]}},
        {"event_map": {f"event {n}": "x" * 200 for n in range(200)}},
        {"method": "POST", "body_type": "raw", "body": "x" * 60_000},
        {"headers": {f"X-{n}": "x" * 4_000 for n in range(10)}},
        {"success": {"final": [{"body_contains": "x" * 1000 + str(n)} for n in range(20)]}},
    ],
)
def test_an_organizations_rules_are_together_so_large(written: dict[str, Any]) -> None:
    gem = make.make_tenant()
    owner = owner_of(gem)
    small = owner.post("callback-rules", DRAFT).data
    large = owner.post("callback-rules", {**DRAFT, "name": "Large", **written}).data
    fill(gem, 1)
    with tenant_of(gem.organization.pk):
        others = CallbackRule.objects.filter(name__startswith="Old")
        others.update(counted_bytes=LARGEST_RULES - 15_000)

    refused = owner.patch(f"callback-rules/{small['id']}", written)
    smaller = owner.patch(f"callback-rules/{large['id']}", {"name": "L"})
    tiny = owner.post("callback-rules", {**DRAFT, "name": "Tiny"})

    assert (refused.status, refused.pointers()) == (400, ["/conditions"])
    assert f"at most {LARGEST_RULES:,}" in refused.details()
    assert f"counts {VALUE_BYTES} beside" in refused.details()
    assert smaller.status == 200  # more than is allowed now, but no more than it was
    assert tiny.status == 400
