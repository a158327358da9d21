"""Installs as programs read them: the credit, and why."""

import csv
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from apps_registry.models import TrackingLink
from apps_registry.tenancy import tenant as tenant_of
from postbacks.infrastructure.database import roles
from postbacks.models import Attribution, Install
from tests import make
from tests.api.calling import Program, owner_of
from tests.database import as_role
from tests.insights.credits import make_install

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def tenant(transactional_db: None) -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def link(tenant: make.Tenant) -> TrackingLink:
    with tenant_of(tenant.organization.pk):
        return make.make_link(make.make_campaign(tenant.app, make.make_partner()))


def _decide(install: Install, version: int = 1, **fields: object) -> None:
    with as_role(roles.WORKER), tenant_of(install.organization_id):
        Attribution.objects.create(
            install=install,
            version=version,
            type=install.attribution_type,
            decided_at=NOW,
            **fields,
        )


def test_an_install_has_the_shape_that_programs_rely_on(tenant, link) -> None:
    touchpoint, other = uuid4(), uuid4()
    install = make_install(
        link,
        NOW,
        install_id="mine",
        touchpoint=touchpoint,
        touched_at=NOW - timedelta(hours=1),
        attribution_version=2,
    )
    fraud = {"touchpoint": str(other), "reason": "engagement_injection"}
    _decide(install, candidates=[{"touchpoint": str(other), "reason": "won"}])
    _decide(
        install,
        2,
        window_seconds=604_800,
        rejections=[fraud],
        candidates=[{"touchpoint": str(touchpoint), "reason": "won", "partner": "Lumen Ads"}],
    )

    (row,) = owner_of(tenant).rows("installs", app=tenant.app.public_id, install_id="mine")

    assert (row["install_id"], row["kind"], row["state"]) == ("mine", "install", "provisional")
    assert row["attribution"] == {
        "type": "click",
        "method": "click_id",
        "partner": str(link.campaign.partner.public_id),
        "campaign": str(link.campaign.public_id),
        "touchpoint": str(touchpoint),
        "touched_at": (NOW - timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "window_seconds": 604_800,
    }
    (candidate,) = row["candidates"]
    assert (candidate["touchpoint"], candidate["reason"]) == (str(touchpoint), "won")
    assert candidate["partner_name"] == "Lumen Ads"
    assert row["rejections"][0]["reason"] == "engagement_injection"
    assert owner_of(tenant).get(f"installs/{row['id']}").data == row


def test_an_organic_install_is_credited_to_nobody(tenant, link) -> None:
    make_install(link, NOW, attribution_type="organic", method="", partner_id=None, campaign=None)

    (row,) = owner_of(tenant).rows("installs")

    assert row["attribution"] == {
        "type": "organic",
        "method": None,
        "partner": None,
        "campaign": None,
        "touchpoint": None,
        "touched_at": None,
        "window_seconds": None,
    }
    assert (row["candidates"], row["rejections"]) == ([], [])


@pytest.mark.parametrize("stored", [{}, [], "gone", [7], [{"reason": None, "touchpoint": {}}]])
def test_what_was_erased_is_null(tenant, link, stored) -> None:
    _decide(make_install(link, NOW), candidates=stored, rejections=stored)

    (row,) = owner_of(tenant).rows("installs")

    assert all(candidate["touchpoint"] is None for candidate in row["candidates"])


def test_installs_are_filtered(tenant, link) -> None:
    matching = make_install(link, NOW, state="final")
    make_install(
        link,
        NOW - timedelta(days=2),
        kind="reinstall",
        attribution_type="organic",
        method="",
        partner_id=None,
        campaign=None,
    )
    api = owner_of(tenant)
    since = (NOW - timedelta(hours=1)).isoformat()
    queries = [
        {"campaign": link.campaign.public_id},
        {"partner": link.campaign.partner.public_id},
        {"type": "click"},
        {"kind": "install"},
        {"state": "final"},
        {"since": since},
    ]

    results = [[row["id"] for row in api.rows("installs", **query)] for query in queries]

    assert results == [[str(matching.public_id)]] * len(queries)
    assert api.get("installs", type="luck").status == 400


def test_the_newest_install_comes_first_and_pages_lead_on(tenant, link) -> None:
    installs = [make_install(link, NOW - timedelta(hours=age)) for age in range(3)]
    api = owner_of(tenant)

    first = api.get("installs", limit=2).data
    second = api.get(first["next"]).data

    ids = [row["id"] for row in (*first["results"], *second["results"])]
    assert ids == [str(install.public_id) for install in installs]
    assert second["next"] is None


def test_another_organizations_installs_do_not_exist(tenant, link) -> None:
    install = make_install(link, NOW)
    stranger = owner_of(make.make_tenant("Stranger"))

    assert stranger.rows("installs") == []
    assert stranger.get(f"installs/{install.public_id}").status == 404


def test_csv_counts_the_touchpoints_that_were_looked_at(tenant, link) -> None:
    install = make_install(link, NOW)
    _decide(install, candidates=[{"reason": "won"}, {"reason": "older"}])
    program = Program(tenant.api_token)

    answer = program.client.get("/api/v1/installs", headers={"Accept": "text/csv"})

    (row,) = csv.DictReader(answer.getvalue().decode("utf-8-sig").splitlines())
    assert (row["id"], row["candidates"], row["rejections"]) == (str(install.public_id), "2", "0")
    assert row["attribution_campaign"] == str(link.campaign.public_id)
