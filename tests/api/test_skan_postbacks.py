"""Programs read the copies of Apple's postbacks, and ask for some of them."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest

from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import SkanPostback
from tests import make
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime(2026, 5, 4, 10, 0, 0, tzinfo=UTC)


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()


def store(tenant: make.Tenant, **fields: object) -> SkanPostback:
    with tenant_of(tenant.organization.pk):
        return make.make_skan_postback(tenant.app, **fields)


def test_a_copy_is_shown_with_what_it_says_and_meant(tenant) -> None:
    copy = store(
        tenant,
        received_at=NOW,
        conversion_value=12,
        event_name="purchase",
        least_revenue="4.99",
        currency="USD",
        transaction_id="t-1",
    )

    (row,) = owner_of(tenant).rows("skan-postbacks")

    assert row == owner_of(tenant).get(f"skan-postbacks/{copy.public_id}").data
    assert row["id"] == str(copy.public_id)
    assert row["app"] == str(tenant.app.public_id)
    assert row["received_at"] == "2026-05-04T10:00:00.000Z"
    assert (row["protocol"], row["version"]) == ("skadnetwork", "4.0")
    assert (row["network_id"], row["transaction_id"], row["sequence"]) == ("com.example", "t-1", 0)
    assert (row["signature_state"], row["duplicate_of"], row["did_win"]) == ("valid", None, True)
    assert (row["conversion_value"], row["coarse_value"]) == (12, None)
    assert (row["event_name"], row["least_revenue"]) == ("purchase", "4.99")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"signature_state": "invalid"}, "forged"),
        ({"network_id": "net.other"}, "other"),
        ({"transaction_id": "again", "duplicate": "true"}, "again"),
        ({"did_win": "false"}, "lost"),
        ({"sequence": 2}, "third"),
        ({"protocol": "adattributionkit"}, "kit"),
        ({"source_identifier": "17"}, "campaign"),
        ({"version": "2.2"}, "old"),
        ({"until": "2026-05-04T10:00:00Z"}, "early"),
    ],
)
def test_copies_are_asked_for_by_what_they_say(tenant, query, found) -> None:
    fields = {
        "forged": {"signature_state": "invalid"},
        "other": {"network_id": "net.other"},
        "again": {"duplicate_of": uuid.uuid4()},
        "lost": {"did_win": False},
        "third": {"sequence": 2},
        "kit": {"protocol": "adattributionkit"},
        "campaign": {"source_identifier": "17"},
        "old": {"version": "2.2"},
        "early": {"received_at": NOW - timedelta(days=1)},
    }
    for name, said in fields.items():
        store(tenant, **{"transaction_id": name, "received_at": NOW, **said})

    rows = owner_of(tenant).rows("skan-postbacks", **query)

    assert [row["transaction_id"] for row in rows] == [found]


def test_another_organization_s_copies_are_not_there(tenant) -> None:
    theirs = store(make.make_tenant("Moss Valley"))

    api = owner_of(tenant)

    assert api.rows("skan-postbacks") == []
    assert api.get(f"skan-postbacks/{theirs.public_id}").status == 404


def test_an_unknown_filter_is_refused(tenant) -> None:
    assert owner_of(tenant).get("skan-postbacks", won="true").status == 400
