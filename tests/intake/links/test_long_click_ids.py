"""A network's click id is kept whole up to 2,048 characters, and refused visibly beyond."""

from typing import Any
from urllib.parse import quote

import pytest
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.insights.left_out_values import left_out_values
from postbacks.intake.links.reading import MAX_VALUE
from postbacks.values.identifiers import CLICK_ID, identifier
from tests.intake.links.opening import Advertised, advertise

pytestmark = pytest.mark.django_db(transaction=True)

DEVICE = "&gaid=6d92078a-8246-4ba4-ae5b-76104861e7dc&s2s=1"


def made_of(length: int) -> str:
    """Return a click id of so many characters, as networks make them."""
    return ("EAIaIQobChMI9a2" * (length // 15 + 1))[:length]


def report(ad: Advertised, **fields: Any) -> Any:
    return Client().post(
        "/api/v1/touchpoints",
        {"link": ad.link.token, **fields},
        content_type="application/json",
        headers={"Authorization": f"Bearer {ad.tenant.sdk_key}"},
    )


def event(ad: Advertised, **fields: Any) -> Any:
    return Client().post(
        "/api/v1/events",
        {"event_name": "install", **fields},
        content_type="application/json",
        headers={"Authorization": f"Bearer {ad.tenant.sdk_key}"},
    )


@pytest.mark.parametrize(
    "click_id",
    [
        made_of(1_024),
        made_of(1_025),
        made_of(1_100),
        "a+b/=%2B" * 250,
        "é" * 1_100,
        made_of(MAX_VALUE),
    ],
    ids=["1,024", "1,025", "1,100", "encoded", "two bytes each", "2,048"],
)
@pytest.mark.parametrize("more", ["", DEVICE], ids=["visitor", "server"])
def test_a_long_click_id_of_a_link_is_kept_whole(click_id: str, more: str) -> None:
    ad = advertise()

    answer = ad.click(f"clickid={quote(click_id, safe='')}{more}")

    assert answer.status_code in {200, 302}, answer.content
    touch = ad.touchpoint()
    assert touch.click_id == click_id
    assert touch.params["click_id"] == click_id
    assert identifier(CLICK_ID, click_id) in touch.names


def test_one_that_is_too_long_is_left_out_of_a_click_and_named_on_its_link() -> None:
    ad = advertise()

    answer = ad.click(f"click_id={made_of(MAX_VALUE + 1)}&sub1=a")

    assert answer.status_code == 302
    assert "play.google.com" in answer["Location"]
    touch = ad.touchpoint()
    assert (touch.click_id, touch.params["sub1"]) == ("", "a")
    assert "click_id" not in touch.params
    with tenant(ad.tenant.organization.pk):
        (value,) = left_out_values(ad.link)
    assert (value.parameter, value.count) == ("click_id", 1)
    assert "2,049 characters" in value.value
    assert "2,048" in value.reason


def test_two_that_share_their_beginning_are_two_clicks() -> None:
    ad = advertise()

    for ending in "ab":
        ad.click(f"click_id={made_of(MAX_VALUE - 1)}{ending}")
        ad.click(f"click_id={made_of(MAX_VALUE)}{ending}")

    assert len(ad.touchpoints()) == 4


def test_an_alias_beside_one_that_is_too_long_is_taken() -> None:
    ad = advertise()

    ad.click(f"click_id={made_of(3_000)}&clickid=short")

    assert ad.touchpoint().click_id == "short"


def test_a_servers_call_with_one_that_is_too_long_is_refused() -> None:
    ad = advertise()

    answer = ad.click(f"click_id={made_of(MAX_VALUE + 1)}{DEVICE}")

    assert answer.status_code == 400
    assert "click_id" in answer.json()["detail"]
    assert "2,048" in answer.json()["detail"]
    assert ad.touchpoints() == []


def test_touchpoints_and_events_with_one_that_is_too_long_are_refused_with_its_length() -> None:
    ad = advertise()

    taken = [send(ad, click_id=made_of(MAX_VALUE)) for send in (report, event)]
    refused = [send(ad, click_id=made_of(MAX_VALUE + 1)) for send in (report, event)]

    assert [answer.status_code for answer in taken] == [202, 202]
    for answer in refused:
        assert answer.status_code == 422
        ((error,),) = [item["errors"] for item in answer.json()["rejected"]]
        assert error["pointer"] == "/click_id"
        assert "2,049 characters" in error["detail"]
        assert "2,048" in error["detail"]
    assert ad.touchpoint().click_id == made_of(MAX_VALUE)
