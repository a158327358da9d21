"""Servers and apps report touchpoints with an SDK key: each once, the good ones of each batch."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client

from apps_registry.models import App, SdkKey
from apps_registry.tenancy import tenant
from postbacks.intake.events.recording import DEVICE_FORGOTTEN
from postbacks.intake.links.server_touchpoints import KEPT
from postbacks.models import Touchpoint
from tests import make
from tests.api.calling import PROBLEM, Answer, Program

pytestmark = pytest.mark.django_db(transaction=True)

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


class Network:
    """A tenant with a link, and the key with which its touchpoints are reported."""

    def __init__(self, key_kind: str = SdkKey.Kind.SERVER) -> None:
        self.tenant = make.make_tenant(key_kind=key_kind)
        with tenant(self.tenant.organization.pk):
            self.campaign = make.make_campaign(self.tenant.app, make.make_partner())
            self.link = make.make_link(self.campaign)
        self.program = Program(self.tenant.sdk_key)

    def report(self, data: Any) -> Answer:
        return self.program.post("touchpoints", data)

    def touchpoints(self) -> list[Touchpoint]:
        with tenant(self.tenant.organization.pk):
            return list(Touchpoint.objects.order_by("id"))


@pytest.fixture
def network() -> Network:
    return Network()


def test_a_click_is_accepted_and_answered_with_our_id(network: Network) -> None:
    clicked = datetime.now(UTC) - timedelta(minutes=5)

    answer = network.report(
        {
            "link": network.link.token,
            "occurred_at": clicked.isoformat(),
            "click_id": "n-1",
            "gaid": GAID,
            "ip_address": "203.0.113.9",
            "user_agent": "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/X)",
            "site_id": "pub_7",
            "creative_name": "video",
            "params": {"sub1": "a", "level": 3, "price": 1.50, "deep": True, "none": None},
        }
    )

    (touch,) = network.touchpoints()
    assert answer.status == 202
    assert answer.data == {
        "accepted": 1,
        "duplicates": 0,
        "rejected": [],
        "ids": [str(touch.public_id)],
        "warnings": [],
    }
    assert (touch.kind, touch.source, touch.click_id, touch.site_id, touch.ip_address) == (
        "click",
        "server",
        "n-1",
        "pub_7",
        "203.0.113.9",
    )
    assert (touch.os_name, touch.device_model, touch.link_id) == (
        "android",
        "Pixel 8",
        network.link.pk,
    )
    assert f"advertising:{GAID}" in touch.names
    assert (
        touch.params.items()
        >= {
            "sub1": "a",
            "level": "3",
            "price": "1.5",
            "deep": "true",
            "creative_name": "video",
        }.items()
    )


@pytest.mark.parametrize("form", ["token", "id", "campaign"])
def test_a_touchpoint_is_of_a_link_or_of_a_campaign(network: Network, form: str) -> None:
    named = {
        "token": {"link": network.link.token},
        "id": {"link": str(network.link.public_id)},
        "campaign": {"campaign": str(network.campaign.public_id)},
    }[form]

    answer = network.report({"kind": "impression", "idfa": str(uuid4()), **named})

    (touch,) = network.touchpoints()
    assert answer.status == 202
    assert (touch.kind, touch.campaign_id, touch.partner_id) == (
        "impression",
        network.campaign.pk,
        network.campaign.partner_id,
    )
    assert touch.link_id == (None if form == "campaign" else network.link.pk)


def test_many_come_as_an_array_or_an_object_also_gzipped(network: Network) -> None:
    one = {"link": network.link.token}

    answers = [network.report([one, one]), network.report({"touchpoints": [one]})]
    packed = Client().post(
        "/api/v1/touchpoints",
        gzip.compress(json.dumps(one).encode()),
        content_type="application/json",
        headers={"Authorization": f"Bearer {network.tenant.sdk_key}", "Content-Encoding": "gzip"},
    )

    assert [answer.data["accepted"] for answer in answers] == [2, 1]
    assert packed.status_code == 202
    assert len(network.touchpoints()) == 4


def test_what_was_sent_before_counts_once_within_and_across_requests(network: Network) -> None:
    sent = {"link": network.link.token, "touchpoint_id": str(uuid4())}
    clicked = {"link": network.link.token, "click_id": "n-1"}

    first = network.report([sent, clicked, sent])
    again = network.report([clicked, sent])

    assert (first.data["accepted"], first.data["duplicates"]) == (2, 1)
    assert (again.data["accepted"], again.data["duplicates"]) == (0, 2)
    assert first.data["ids"][0] == first.data["ids"][2] == again.data["ids"][1]
    assert again.status == 202


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"link": None}, "/link"),
        ({"link": "nobodyhasit"}, "/link"),
        ({"link": 7}, "/link"),
        ({"link": "a\x00b"}, "/link"),
        ({"link": None, "campaign": str(uuid4())}, "/campaign"),
        ({"campaign": str(uuid4())}, "/campaign"),
        ({"kind": "claim"}, "/kind"),
        ({"kind": ["click"]}, "/kind"),
        ({"touchpoint_id": "7"}, "/touchpoint_id"),
        ({"occurred_at": "yesterday"}, "/occurred_at"),
        ({"timestamp": "yesterday"}, "/timestamp"),
        ({"params": {"click_time": "yesterday"}}, "/params/click_time"),
        ({"ip": "bogus"}, "/ip"),
        ({"AF_IP": "bogus"}, "/AF_IP"),
        ({"ip": "", "device_ip": "bogus"}, "/device_ip"),
        ({"params": {"client_ip": "1.2.3.4.5"}}, "/params/client_ip"),
        ({"occurred_at": {}}, "/occurred_at"),
        ({"occurred_at": 1e300}, "/occurred_at"),
        ({"occurred_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "/occurred_at"),
        ({"occurred_at": (datetime.now(UTC) - timedelta(days=31)).isoformat()}, "/occurred_at"),
        ({"ip_address": "here"}, "/ip_address"),
        ({"params": [1]}, "/params"),
        ({"params": {"a/b": {}}}, "/params/a~1b"),
        ({"params": {"a": "x\x00"}}, "/params/a"),
        ({"sub1": "x" * 3_000}, "/sub1"),
        ({"x" * 100: "1"}, "/" + "x" * 100),
        ({"params": {f"p{n}": n for n in range(200)}}, "/params"),
    ],
)
def test_a_bad_touchpoint_is_rejected_by_itself(
    network: Network, fields: dict[str, Any], pointer: str
) -> None:
    good = {"link": network.link.token}

    answer = network.report([good, {**good, **fields}])

    assert answer.status == 202
    assert answer.data["ids"][1] is None
    (rejected,) = answer.data["rejected"]
    assert rejected["index"] == 1
    assert [error["pointer"] for error in rejected["errors"]] == [pointer]
    assert len(network.touchpoints()) == 1


def test_a_kind_may_be_called_type_as_in_our_answers(network: Network) -> None:
    answer = network.report(
        [
            {"link": network.link.token, "type": "impression"},
            {"link": network.link.token, "type": "banner"},
            {"link": network.link.token, "type": "click", "kind": "impression"},
        ]
    )

    touches = network.touchpoints()
    assert [touch.kind for touch in touches] == ["impression", "click", "impression"]
    assert [touch.params.get("type") for touch in touches] == [None, "banner", "click"]
    assert [warned["index"] for warned in answer.data["warnings"]] == [1, 2]


def test_a_field_that_means_nothing_to_us_is_kept_and_named(network: Network) -> None:
    answer = network.report(
        {"link": network.link.token, "clickid": "n-1", "sha1_gaid": "00", "colour": "red"}
    )

    (touch,) = network.touchpoints()
    assert touch.params["colour"] == "red"
    assert answer.data["warnings"] == [{"index": 0, "pointer": "/colour", "detail": KEPT}]


def test_a_touchpoint_of_a_forgotten_device_is_rejected_and_not_kept(network: Network) -> None:
    network.program.post("forget-device", {"gaid": GAID})

    answer = network.report(
        [
            {"link": network.link.token, "gaid": GAID.upper()},
            {"link": network.link.token, "click_id": "n-2"},
        ]
    )

    (touch,) = network.touchpoints()
    assert touch.click_id == "n-2"
    assert answer.data == {
        "accepted": 1,
        "duplicates": 0,
        "warnings": [],
        "ids": [None, str(touch.public_id)],
        "rejected": [{"index": 0, "errors": [{"pointer": "", "detail": DEVICE_FORGOTTEN}]}],
    }


def test_if_all_are_bad_nothing_is_accepted(network: Network) -> None:
    answer = network.report([{}, 7])

    assert (answer.status, answer.content_type) == (422, PROBLEM)
    assert [rejected["index"] for rejected in answer.data["rejected"]] == [0, 1]


def test_a_thousand_are_taken_and_one_more_is_too_many(network: Network) -> None:
    one = {"link": network.link.token}

    assert network.report([one] * 1_000).data["accepted"] == 1_000
    assert network.report([one] * 1_001).status == 413


def test_a_late_touchpoint_is_taken_but_earns_nothing(network: Network) -> None:
    late = (datetime.now(UTC) - timedelta(hours=13)).isoformat()

    answer = network.report({"link": network.link.token, "occurred_at": late})

    assert answer.status == 202
    assert [touch.refused for touch in network.touchpoints()] == ["stale_touchpoint"]


def test_links_of_others_do_not_exist(network: Network) -> None:
    stranger = Network()
    named = [
        {"link": stranger.link.token},
        {"link": str(stranger.link.public_id)},
        {"campaign": str(stranger.campaign.public_id)},
    ]

    answer = network.report(named)

    assert answer.status == 422
    assert stranger.touchpoints() == network.touchpoints() == []


def test_links_of_another_app_of_the_organization_do_not_exist(network: Network) -> None:
    with tenant(network.tenant.organization.pk):
        other = App.objects.create(name="Other", platform="ios")
        link = make.make_link(make.make_campaign(other, network.campaign.partner))

    assert network.report({"link": link.token}).status == 422


def test_an_apps_own_request_tells_of_its_device_and_a_servers_does_not() -> None:
    app, server = Network(SdkKey.Kind.APP), Network()

    for network in (app, server):
        network.report({"link": network.link.token})

    assert app.touchpoints()[0].ip_address == "127.0.0.1"
    assert server.touchpoints()[0].ip_address == ""


def test_an_api_token_and_no_key_are_turned_away(network: Network) -> None:
    token = Program(network.tenant.api_token).post("touchpoints", {"link": network.link.token})
    nobody = Client().post("/api/v1/touchpoints", {}, content_type="application/json")
    reading = network.program.get("touchpoints")

    assert (token.status, nobody.status_code, reading.status) == (403, 401, 403)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b'{"a": 1, "a": 2}', b'"\\ud800"', b"[" * 99])
def test_a_broken_body_is_refused(network: Network, body: bytes) -> None:
    assert network.report(body).status == 400
