"""The audit log by the API: it keeps what programs do, and can only be read."""

import pytest

from apps_registry.audit.actions import Action
from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from tests import make
from tests.api.calling import DRAFT, Program

pytestmark = pytest.mark.django_db(transaction=True)

LOG = "audit-log"


def newest(made: make.Tenant) -> AuditEntry:
    with tenant(made.organization.pk):
        return AuditEntry.objects.order_by("-id")[0]


def test_what_a_program_creates_changes_and_archives_is_kept() -> None:
    made = make.make_tenant()
    api = Program(made.api_token)

    rule = api.post("callback-rules", DRAFT).data["id"]
    api.patch(f"callback-rules/{rule}", {"status": "active"})
    api.delete(f"callback-rules/{rule}")

    archived, switched, created = api.get(LOG, object=rule).data["results"]
    actions = [entry["action"] for entry in (created, switched, archived)]
    assert actions == [Action.CREATED, Action.SWITCHED_ON, Action.ARCHIVED]
    assert switched["object"] == {"type": "callback_rule", "id": rule, "name": "Purchases"}
    assert switched["changes"] == {"status": ["draft", "active"]}
    assert switched["actor"] == {
        "kind": "token",
        "name": f"{made.api_token[:10]}… tests",
        "door": "api",
        "ip_address": "127.0.0.1",
    }


def test_a_personal_token_is_kept_with_its_person() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        token = make.make_api_token(Role.OWNER, user=made.owner)

    Program(token).patch(f"apps/{made.app.public_id}", {"name": "New"})

    entry = newest(made)
    assert entry.actor_id == made.owner.pk
    assert entry.actor_name.startswith(f"{made.owner.email} with token ")


def test_a_credential_that_a_program_sets_is_kept_without_its_value() -> None:
    made = make.make_tenant()
    api = Program(made.api_token)
    secret = "a-secret-of-some-length"

    api.post("partners", {"name": "Unity Ads", "credentials": {"api_key": secret}})

    answer = api.get(LOG, object_type="partner_credential")
    assert [entry["changes"]["secret"] for entry in answer.data["results"]] == [[None, "•••"]]
    assert secret not in str(api.get(LOG, limit=200).data)


@pytest.mark.parametrize("role", Role.values)
def test_every_role_reads_the_log(role: str) -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        api = Program(make.make_api_token(role))

    first = api.get(LOG, limit=1)
    single = api.get(f"{LOG}/{first.data['results'][0]['id']}")

    assert (first.status, single.status) == (200, 200)
    assert single.data == first.data["results"][0]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nobody_writes_or_deletes_an_entry_by_the_api(method: str) -> None:
    made = make.make_tenant()
    api = Program(made.api_token)
    entry = newest(made)

    answers = [api.send(method, path, {}) for path in (LOG, f"{LOG}/{entry.public_id}")]

    assert {answer.status for answer in answers} == {405}
    assert newest(made).pk == entry.pk


def test_pages_lead_on_to_the_oldest_entry() -> None:
    made = make.make_tenant()
    api = Program(made.api_token)
    everything = [entry["id"] for entry in api.get(LOG).data["results"]]

    paged, address = [], f"{LOG}?limit=2"
    while address:
        page = api.get(address).data
        paged += [entry["id"] for entry in page["results"]]
        address = (page["next"] or "").partition("/api/v1/")[2]

    assert paged == everything
    assert len(paged) >= 5


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"action": "changed"}, 1),
        ({"object_type": "app", "action": "changed"}, 1),
        ({"object_type": "campaign"}, 0),
        ({"actor": "TESTS", "action": "changed"}, 1),
        ({"actor": "nobody"}, 0),
        ({"since": "2020-01-01T00:00:00Z", "action": "changed"}, 1),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
    ],
)
def test_entries_are_filtered(query: dict[str, str], found: int) -> None:
    made = make.make_tenant()
    api = Program(made.api_token)
    api.patch(f"apps/{made.app.public_id}", {"name": "New"})

    assert len(api.get(LOG, **query).data["results"]) == found


def test_a_filter_that_is_not_known_is_refused_by_name() -> None:
    made = make.make_tenant()

    answer = Program(made.api_token).get(LOG, person="ada")

    assert answer.status == 400
    assert "There is no parameter “person” here" in answer.details()


def test_another_organizations_entry_does_not_exist() -> None:
    ours, theirs = make.make_tenant("Ours"), make.make_tenant("Theirs")

    answer = Program(ours.api_token).get(f"{LOG}/{newest(theirs).public_id}")

    assert answer.status == 404
