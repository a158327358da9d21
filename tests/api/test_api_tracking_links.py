"""Tracking links: made, read, changed and archived by programs."""

import pytest

from apps_registry.tenancy import tenant
from postbacks.callbacks.partner_templates import click_parameters
from tests import make
from tests.api.calling import owner_of

pytestmark = pytest.mark.django_db(transaction=True)


def _campaign(of: make.Tenant) -> str:
    with tenant(of.organization.pk):
        return str(make.make_campaign(of.app, make.make_partner()).public_id)


def test_a_link_goes_through_its_life(settings) -> None:
    settings.PUBLIC_URL = "https://go.example.com"
    gem = make.make_tenant()
    api = owner_of(gem)
    fields = {"name": "Video", "campaign": _campaign(gem), "parameters": "click_id={clickid}"}

    made = api.post("tracking-links", fields)
    twice = api.post("tracking-links", fields)
    address = f"tracking-links/{made.data['id']}"
    moved = api.patch(address, {"campaign": _campaign(gem)})
    renamed = api.patch(address, {"name": "Video 15 s", "deep_link": "gem://shop"})
    gone = api.delete(address)

    assert made.status == 201
    token = made.data["token"]
    assert made.data["click_url"] == f"https://go.example.com/c/{token}?click_id={{clickid}}"
    assert made.data["impression_url"] == f"https://go.example.com/i/{token}?click_id={{clickid}}"
    assert (twice.status, twice.pointers()) == (400, ["/name"])
    assert (moved.status, moved.pointers()) == (400, ["/campaign"])
    assert (renamed.status, renamed.data["deep_link"]) == (200, "gem://shop")
    assert renamed.data["token"] == token
    assert gone.status == 204
    assert api.rows("tracking-links") == []
    assert [row["id"] for row in api.rows("tracking-links", status="archived")] == [made.data["id"]]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, click_parameters("applovin")),
        ({"parameters": ""}, ""),
        ({"parameters": "sub1=a"}, "sub1=a"),
    ],
)
def test_a_new_link_has_the_parameters_of_its_partners_template(
    given: dict[str, str], expected: str
) -> None:
    gem = make.make_tenant()
    with tenant(gem.organization.pk):
        partner = make.make_partner()
        partner.template = "applovin"
        partner.save()
        campaign = make.make_campaign(gem.app, partner)
    fields = {"name": "Video", "campaign": str(campaign.public_id), **given}

    made = owner_of(gem).post("tracking-links", fields).data

    assert "click_id={DID}" in click_parameters("applovin")
    assert made["parameters"] == expected
    assert made["click_url"].endswith(made["parameters"])


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"deep_link": "javascript:alert(1)"}, "/deep_link"),
        ({"allowed_destinations": ["data://x"]}, "/allowed_destinations"),
        ({"store_url": "ftp://example.com/app"}, "/store_url"),
        ({"store_url": "https://example.com:99999/app"}, "/store_url"),
        ({"fallback_url": "https://example.com/?a=1&amp;b=2"}, "/fallback_url"),
        ({"parameters": "a={{idfa}}"}, "/parameters"),
        ({"token": "chosen-by-me"}, "/token"),
    ],
)
def test_a_link_that_leads_astray_is_refused(fields: dict[str, object], pointer: str) -> None:
    gem = make.make_tenant()

    answer = owner_of(gem).post(
        "tracking-links", {"name": "A", "campaign": _campaign(gem), **fields}
    )

    assert answer.status == 400
    assert answer.pointers() == [pointer]


def test_links_are_filtered_by_what_they_belong_to() -> None:
    gem = make.make_tenant()
    api = owner_of(gem)
    campaign, other = _campaign(gem), _campaign(gem)
    first = api.post("tracking-links", {"name": "A", "campaign": campaign}).data
    api.post("tracking-links", {"name": "B", "campaign": other})

    assert [row["id"] for row in api.rows("tracking-links", campaign=campaign)] == [first["id"]]
    assert [row["id"] for row in api.rows("tracking-links", token=first["token"])] == [first["id"]]
    assert len(api.rows("tracking-links", app=str(gem.app.public_id))) == 2
