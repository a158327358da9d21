"""Partners with their credentials, and campaigns."""

from uuid import uuid4

import pytest

from apps_registry.models import Partner
from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.admin.pages import sign_in, submit
from tests.api.calling import owner_of, program_of

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = "a-very-long-secret-1234"


def test_a_partner_is_created_with_masked_credentials() -> None:
    api = owner_of(make.make_tenant())

    answer = api.post(
        "partners",
        {
            "name": "Unity Ads",
            "allowed_hosts": ["ads.example.com"],
            "credentials": {"api_key": SECRET, "pin": "1234"},
        },
    )

    assert answer.status == 201
    assert answer.data["credentials"] == {"api_key": "•••1234", "pin": "•••"}
    assert answer.data["allowed_hosts"] == ["ads.example.com"]
    assert answer.data["status"] == "active"
    assert SECRET not in str(api.rows("partners"))


def test_null_removes_a_credential_and_what_is_not_named_stays() -> None:
    api = owner_of(make.make_tenant())
    partner = api.post(
        "partners", {"name": "A", "credentials": {"one": "1", "two": "2", "three": "3"}}
    ).data

    answer = api.patch(f"partners/{partner['id']}", {"credentials": {"one": None, "two": "new"}})

    assert answer.data["credentials"] == {"two": "•••", "three": "•••"}


def test_a_mask_that_comes_back_changes_nothing() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    partner = api.post("partners", {"name": "A", "credentials": {"api_key": SECRET}}).data

    answer = api.put(f"partners/{partner['id']}", {**partner, "name": "B"})

    assert (answer.status, answer.data["name"]) == (200, "B")
    with tenant_of(tenant.organization.pk):
        assert Partner.objects.get().credentials.get().reveal() == SECRET


def test_a_mask_is_never_taken_for_a_secret() -> None:
    api = owner_of(make.make_tenant())

    answer = api.post("partners", {"name": "A", "credentials": {"api_key": "•••1234"}})

    assert (answer.status, answer.pointers()) == (400, ["/credentials/api_key"])
    assert api.rows("partners") == []


@pytest.mark.parametrize(
    ("field", "value", "pointer"),
    [
        ("allowed_hosts", ["https://ads.example.com/"], "/allowed_hosts/0"),
        ("credentials", {"API key": "x"}, "/credentials/API key"),
        ("credentials", {"a/b": "x"}, "/credentials/a~1b"),
        ("credentials", {"api_key": {"deep": 1}}, "/credentials/api_key"),
        ("credentials", ["x"], "/credentials"),
    ],
)
def test_a_wrong_value_of_a_partner_is_refused(field, value, pointer) -> None:
    answer = owner_of(make.make_tenant()).post("partners", {"name": "A", field: value})

    assert (answer.status, answer.pointers()) == (400, [pointer])


def test_only_an_owner_changes_where_credentials_may_go() -> None:
    tenant = make.make_tenant()
    partner = (
        owner_of(tenant).post("partners", {"name": "A", "allowed_hosts": ["ads.example.com"]}).data
    )
    marketer = program_of(Role.MARKETER, tenant)

    made = marketer.post("partners", {"name": "B", "allowed_hosts": ["evil.example.com"]})
    changed = marketer.patch(f"partners/{partner['id']}", {"allowed_hosts": ["evil.example.com"]})
    untouched = marketer.put(f"partners/{partner['id']}", {**partner, "name": "C"})

    assert (made.status, changed.status, untouched.status) == (403, 403, 200)
    assert "marketer" in changed.data["detail"]
    assert [row["allowed_hosts"] for row in marketer.rows("partners")] == [["ads.example.com"]]


def test_an_archived_partner_frees_its_name() -> None:
    api = owner_of(make.make_tenant())
    first = api.post("partners", {"name": "A"}).data["id"]

    gone = api.delete(f"partners/{first}")
    second = api.post("partners", {"name": "A"})

    assert (gone.status, second.status) == (204, 201)
    assert [row["id"] for row in api.rows("partners", name="A")] == [second.data["id"]]
    assert [row["id"] for row in api.rows("partners", status="archived")] == [first]


def test_a_campaign_goes_through_its_life() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    partner = api.post("partners", {"name": "A"}).data["id"]
    fields = {
        "name": "Summer",
        "app": str(tenant.app.public_id),
        "partner": partner,
        "remote_campaign_id": "238471",
    }

    made = api.post("campaigns", fields)
    twice = api.post("campaigns", fields)
    renamed = api.patch(f"campaigns/{made.data['id']}", {"name": "Winter"})
    gone = api.delete(f"campaigns/{made.data['id']}")

    assert made.status == 201
    assert made.data == {
        **fields,
        "id": made.data["id"],
        "status": "active",
        "created_at": made.data["created_at"],
    }
    assert (twice.status, twice.pointers()) == (400, ["/name"])
    assert (renamed.status, renamed.data["name"]) == (200, "Winter")
    assert gone.status == 204
    assert api.rows("campaigns") == []
    assert [row["name"] for row in api.rows("campaigns", status="archived")] == ["Winter"]


def test_campaigns_are_filtered_by_their_fields() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    with tenant_of(tenant.organization.pk):
        partner = make.make_partner()
        campaign = make.make_campaign(tenant.app, partner)
        other = make.make_campaign(tenant.app, make.make_partner())
    api.patch(f"campaigns/{campaign.public_id}", {"remote_campaign_id": "7"})

    def matches(**query: str) -> set[str]:
        return {row["id"] for row in api.rows("campaigns", **query)}

    assert matches(partner=partner.public_id) == {str(campaign.public_id)}
    assert matches(name=campaign.name) == {str(campaign.public_id)}
    assert matches(remote_campaign_id="7") == {str(campaign.public_id)}
    assert matches(app=tenant.app.public_id) == {str(campaign.public_id), str(other.public_id)}
    assert matches(app=uuid4()) == set()


@pytest.mark.parametrize(
    ("host", "fault"),
    [
        ("ads.example.com:0", "“0” is not a port"),
        ("ads.example.com:99999", "“99999” is not a port"),
        ("ads.example.com:65536", "“65536” is not a port"),
        ("ads.example.com:8o", "“8o” is not a port"),
        ("ads.example.com:", "“” is not a port"),
        ("ads.example.com.", "ends with a dot"),
        ("ads.example.com.:8443", "ends with a dot"),
        ("*.example.com:0", "“0” is not a port"),
        ("ads example", "Write a host without"),
    ],
)
def test_what_is_wrong_with_an_allowed_host_is_named_by_both_doors(host: str, fault: str) -> None:
    tenant = make.make_tenant()

    by_api = owner_of(tenant).post("partners", {"name": "A", "allowed_hosts": [host]})
    form = {"name": "A", "allowed_hosts": host}
    by_page = submit(sign_in(tenant.owner), "/admin/apps_registry/partner/add/", form)

    assert (by_api.status, by_api.pointers()) == (400, ["/allowed_hosts/0"])
    assert fault in by_api.details()
    assert fault in by_page.content.decode()


@pytest.mark.parametrize("host", ["ads.example.com", "*.example.com", "ads.example.com:8443"])
def test_an_allowed_host_may_have_a_port(host: str) -> None:
    made = owner_of(make.make_tenant()).post("partners", {"name": "A", "allowed_hosts": [host]})

    assert made.status == 201
