"""A network's server reports a click by the same link and is answered with our id of it."""

import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from urllib.parse import quote

import pytest
from django.conf import LazySettings

from postbacks.values import identifiers
from tests.intake.links.opening import PHONE, advertise

pytestmark = pytest.mark.django_db(transaction=True)

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


@pytest.mark.parametrize(
    "flag", ["redirect=false", "s2s=1", "noredirect=1", "S2S=true", "%24s2s=true"]
)
def test_a_server_gets_the_id_of_the_click(flag: str) -> None:
    ad = advertise()

    answer = ad.click(f"{flag}&gaid={GAID}&click_id=n-1&ip=203.0.113.9", agent="python-requests/2")

    touch = ad.touchpoint()
    assert answer.status_code == 200
    assert answer["Cache-Control"] == "no-store"
    assert answer.json() == {
        "touchpoint_id": str(touch.public_id),
        "click_id": str(touch.public_id),
        "duplicate": False,
    }
    assert (touch.source, touch.ip_address, touch.user_agent) == ("server", "203.0.113.9", "")
    assert f"advertising:{GAID}" in touch.names


@pytest.mark.parametrize("ampersand", ["&amp;", "&amp;amp;", "&Amp;", "&amp%3B"])
def test_a_link_that_was_copied_out_of_html_is_read_as_meant(ampersand: str) -> None:
    ad = advertise()
    query = f"s2s=1&gaid={GAID}&click_id=n-1&sub1=a&campaign_id=c-7".replace("&", ampersand)

    answer = ad.click(query)

    touch = ad.touchpoint()
    assert answer.status_code == 200
    assert f"advertising:{GAID}" in touch.names
    assert (touch.params["sub1"], touch.params["campaign_id"]) == ("a", "c-7")
    assert ("read as &" in str(answer.json().get("warnings"))) == (ampersand != "&amp%3B")


@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ("ip=bogus", "ip"),
        ("af_ip=1.2.3.4.5", "af_ip"),
        ("Device_IP=%3Cb%3E", "Device_IP"),
        ("ip=&ip_address=x", "ip_address"),
        ("ip=203.0.113.9:80", ""),
        ("ip={ip}", "ip"),
    ],
)
def test_an_address_that_is_none_is_said_to_be_left_out(sent: str, named: str) -> None:
    answer = advertise().click(f"s2s=1&gaid={GAID}&{sent}")

    assert answer.status_code == 200
    warnings = answer.json().get("warnings", [])
    assert [warning.partition(":")[0] for warning in warnings] == ([named] if named else [])


def test_an_address_of_the_server_is_not_the_devices() -> None:
    ad = advertise()

    ad.click(f"s2s=1&gaid={GAID}&ip=not-an-address")

    touch = ad.touchpoint()
    assert (touch.ip_address, touch.user_agent, touch.os_name) == ("", "", "")
    assert all(identifiers.kind_of(name) != "ip" for name in touch.names)


def test_a_repeated_click_is_answered_with_the_first_id() -> None:
    ad = advertise()

    first, again = (ad.click(f"s2s=1&gaid={GAID}&click_id=n-1").json() for _ in range(2))

    assert first["click_id"] == again["click_id"]
    assert again["duplicate"]


def test_an_impression_is_reported_the_same_way() -> None:
    ad = advertise()

    answer = ad.see(f"s2s=1&gaid={GAID}")

    assert answer.json()["impression_id"] == str(ad.touchpoint().public_id)


@pytest.mark.parametrize("query", ["", "click_id=n-1", "ip=203.0.113.9", "ua=x", "gaid=0000-00"])
def test_a_click_of_nobody_is_refused_with_what_helps(query: str) -> None:
    ad = advertise()

    answer = ad.click(f"s2s=1&{query}")

    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert "gaid" in answer.json()["detail"]
    assert ad.touchpoints() == []


@pytest.mark.parametrize("query", ["click_time={}", "gaid=" + GAID, "ip=203.0.113.9&ua=Mozilla"])
def test_a_time_an_id_or_an_address_with_an_agent_is_enough(query: str) -> None:
    ad = advertise()

    answer = ad.click("s2s=1&" + query.format(int(datetime.now(UTC).timestamp())))

    assert answer.status_code == 200


@pytest.mark.parametrize(
    ("age", "refused"), [(timedelta(hours=1), ""), (timedelta(hours=13), "stale_touchpoint")]
)
def test_a_late_click_is_kept_but_earns_nothing(age: timedelta, refused: str) -> None:
    ad = advertise()
    clicked = datetime.now(UTC) - age

    answer = ad.click(f"s2s=1&gaid={GAID}&click_timestamp={int(clicked.timestamp())}")

    touch = ad.touchpoint()
    assert answer.status_code == 200
    assert touch.refused == refused
    assert abs(touch.occurred_at - clicked) < timedelta(seconds=1)


@pytest.mark.parametrize(
    "click_time",
    [
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "yesterday",
        "9e99",
        "nan",
        "2026-05-04T10:00:00",
        "-1",
        "1",
    ],
)
def test_an_impossible_time_is_refused(click_time: str) -> None:
    ad = advertise()

    assert ad.click(f"s2s=1&gaid={GAID}&click_time={click_time}").status_code == 400


def test_a_click_of_the_future_is_refused() -> None:
    ad = advertise()
    soon = datetime.now(UTC) + timedelta(minutes=6)

    answer = ad.click(f"s2s=1&gaid={GAID}&click_time={int(soon.timestamp() * 1000)}")

    assert answer.status_code == 400
    assert "future" in answer.json()["detail"]


def test_a_click_from_an_anonymous_network_earns_nothing(settings: LazySettings) -> None:
    settings.ANONYMOUS_NETWORKS = (ip_network("127.0.0.0/8"),)
    ad = advertise()

    assert ad.click(agent=PHONE).status_code == 302
    assert ad.touchpoint().refused == "anonymous_traffic"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("203.0.113.9:49153", "203.0.113.9"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ('"[2001:db8::7]"', "2001:db8::7"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("unknown", ""),
        ("203.0.113.300", ""),
    ],
)
def test_an_address_is_read_as_a_proxy_passed_it_on(sent: str, kept: str) -> None:
    ad = advertise()

    answer = ad.click(f"s2s=1&click_time={int(time.time())}&ip={quote(sent)}&ua=UA")

    assert answer.status_code == 200
    assert ad.touchpoint().ip_address == kept


def test_a_time_that_is_none_names_its_parameter_and_what_was_sent() -> None:
    answer = advertise().click("s2s=1&click_time=yesterday")

    assert answer.json()["detail"].startswith("click_time: “yesterday” is no time.")
