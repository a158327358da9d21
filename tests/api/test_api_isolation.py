"""Another organization's ids, on every address and method: as if they did not exist."""

from functools import cached_property

import pytest
from django.db import connection

from apps_registry.roles import Role
from apps_registry.tenancy import tenant as tenant_of
from tests import make
from tests.api.calling import DRAFT, Program, make_postback, owner_of, program_of, report
from tests.database import made_once

pytestmark = pytest.mark.django_db(transaction=True)

KINDS = ["apps", "bundle-ids", "sdk-keys", "partners", "campaigns", "callback-rules", "postbacks"]


class Everything:
    """An organization with one row of each kind."""

    def __init__(self, name: str) -> None:
        self.tenant = make.make_tenant(name)
        with tenant_of(self.tenant.organization.pk):
            partner = make.make_partner(credentials={"key": "hush"})
            campaign = make.make_campaign(self.tenant.app, partner)
            rule = make.make_rule()
        self.event_id = report(self.tenant.sdk_key)
        postback = make_postback(rule, self.event_id, status="failed", attempts=1)
        self.ids = {
            "apps": str(self.tenant.app.public_id),
            "bundle-ids": str(self.tenant.bundle_id.public_id),
            "sdk-keys": owner_of(self.tenant).rows("sdk-keys")[0]["id"],
            "partners": str(partner.public_id),
            "campaigns": str(campaign.public_id),
            "callback-rules": str(rule.public_id),
            "postbacks": str(postback.public_id),
        }

    @cached_property
    def api(self) -> Program:
        """Return a program of the owner's; made late, since `made_once` copies what it keeps."""
        return owner_of(self.tenant)

    def seen(self) -> dict[str, object]:
        """Return everything that the API shows of this organization."""
        rows = {kind: self.api.rows(kind) for kind in KINDS if kind != "sdk-keys"}
        keys = self.api.rows("sdk-keys")
        for key in keys:
            key.pop("last_used_at")
        return {**rows, "sdk-keys": keys, "events": self.api.rows("events")}


def _both() -> tuple[Everything, Everything]:
    return Everything("Ours"), Everything("Theirs")


@pytest.fixture
def both(transactional_db: None) -> tuple[Everything, Everything]:
    return made_once(_both)


@pytest.fixture
def ours(both: tuple[Everything, Everything]) -> Everything:
    return both[0]


@pytest.fixture
def theirs(both: tuple[Everything, Everything]) -> Everything:
    return both[1]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_foreign_id_in_the_address_is_not_found(ours, theirs, kind, method) -> None:
    before = theirs.seen()

    answer = ours.api.send(method, f"{kind}/{theirs.ids[kind]}", {"name": "Stolen"})

    assert answer.status in {404, 405}, answer.data
    assert (answer.status == 405) <= (method in {"PUT", "PATCH", "DELETE"})
    assert theirs.seen() == before


def test_a_foreign_postback_is_not_sent_again(ours, theirs) -> None:
    before = theirs.seen()

    answer = ours.api.post(f"postbacks/{theirs.ids['postbacks']}/resend")

    assert answer.status == 404
    assert theirs.seen() == before


def test_a_foreign_event_is_not_found(ours, theirs) -> None:
    assert ours.api.get(f"events/{theirs.event_id}").status == 404
    assert ours.api.get(f"events/{ours.event_id}", app=theirs.ids["apps"]).status == 404


@pytest.mark.parametrize(
    ("kind", "body", "field"),
    [
        ("bundle-ids", {"identifier": "com.example.stolen"}, "app"),
        ("sdk-keys", {}, "app"),
        ("campaigns", {"name": "A", "partner": "ours"}, "app"),
        ("campaigns", {"name": "A", "app": "ours"}, "partner"),
        ("callback-rules", DRAFT, "app"),
        ("callback-rules", DRAFT, "partner"),
        ("callback-rules/preview", DRAFT, "app"),
        ("callback-rules/preview", DRAFT, "partner"),
    ],
)
def test_a_foreign_id_in_a_body_is_unknown_there(ours, theirs, kind, body, field) -> None:
    before = ours.seen(), theirs.seen()
    own = {name: ours.ids[f"{name}s"] for name, value in body.items() if value == "ours"}

    answer = ours.api.post(kind, {**body, **own, field: theirs.ids[f"{field}s"]})
    unknown = ours.api.post(kind, {**body, **own, field: "00000000-0000-4000-8000-000000000000"})

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])
    assert answer.data == unknown.data
    assert (ours.seen(), theirs.seen()) == before


@pytest.mark.parametrize(
    ("kind", "field"),
    [
        ("campaigns", "app"),
        ("campaigns", "partner"),
        ("callback-rules", "app"),
        ("callback-rules", "partner"),
    ],
)
def test_a_foreign_id_is_not_written_into_an_own_row(ours, theirs, kind, field) -> None:
    before = ours.seen()

    answer = ours.api.patch(f"{kind}/{ours.ids[kind]}", {field: theirs.ids[f"{field}s"]})

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])
    assert ours.seen() == before


def test_a_preview_of_a_foreign_event_is_unknown(ours, theirs) -> None:
    answer = ours.api.post("callback-rules/preview", {**DRAFT, "event_id": theirs.event_id})

    assert (answer.status, answer.pointers()) == (400, ["/event_id"])


@pytest.mark.parametrize(
    ("kind", "field", "of"),
    [
        ("bundle-ids", "app", "apps"),
        ("sdk-keys", "app", "apps"),
        ("campaigns", "app", "apps"),
        ("campaigns", "partner", "partners"),
        ("callback-rules", "app", "apps"),
        ("callback-rules", "partner", "partners"),
        ("events", "app", "apps"),
        ("postbacks", "app", "apps"),
        ("postbacks", "rule", "callback-rules"),
    ],
)
def test_a_filter_by_a_foreign_id_finds_nothing(ours, theirs, kind, field, of) -> None:
    assert ours.api.rows(kind, **{field: theirs.ids[of]}) == []


def test_lists_show_own_rows_only(ours, theirs) -> None:
    mine, others = str(ours.seen()), str(theirs.seen())

    for kind in KINDS:
        assert theirs.ids[kind] not in mine
        assert ours.ids[kind] not in others


def test_a_bundle_id_may_be_that_of_another_organization(ours, theirs) -> None:
    answer = ours.api.post(
        "bundle-ids",
        {"app": ours.ids["apps"], "identifier": theirs.tenant.bundle_id.identifier},
    )

    assert answer.status == 201


def test_no_organization_stays_set_after_an_answer(ours) -> None:
    ours.api.get("apps")
    ours.api.post("apps", {"nonsense": 1})
    program_of(Role.ANALYST, ours.tenant).post("apps", {})
    Program(ours.tenant.sdk_key).post("events", {"event_name": "open"})

    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('pb.org', true)")
        assert cursor.fetchone()[0] in {None, ""}
