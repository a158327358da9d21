"""Macros that a network never filled, and words in place of ids: no ids, and the link says so."""

from urllib.parse import quote

import pytest

from apps_registry.tenancy import tenant
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import Program
from tests.intake.links.opening import Advertised, advertise

pytestmark = pytest.mark.django_db(transaction=True)

MACROS = [
    *("$$CLICK_ID$$", "{x}", "[X]", "##X##", "%%X%%", "__X__", "{{x}}", "${CLICK_ID}"),
    *("<click_id>", "@click_id@", "%7Bclick_id%7D", "#{x}", "{{ad.id}}", "acme_{clickid}"),
    *("{aff_sub2}", "%{clickid}", "[[CLICK]]", "<%= click %>", "*|CLICK|*", "{md5_gaid}"),
]
WORDS = ["unknown", "(not set)", "0", "null", "undefined", "None", "(null)", "-", "CLICK_ID", "N/A"]
NO_IDS = [*MACROS, *WORDS]


@pytest.mark.parametrize("name", ["click_id", "clickid", "transaction_id"])
def test_two_people_with_one_unfilled_click_id_are_two_clicks(name: str) -> None:
    ad = advertise()

    for value in NO_IDS:
        ad.click(f"{name}={quote(value)}&sub1=a")
        ad.click(f"{name}={quote(value)}&sub1=b")

    touches = ad.touchpoints()
    assert [touch.params["sub1"] for touch in touches] == ["a", "b"] * len(NO_IDS)
    assert {touch.click_id for touch in touches} == {""}
    assert [touch.params["left_out"] for touch in touches[::2]] == [{name: v} for v in NO_IDS]
    for touch in touches:
        assert not {"click_id", name} & touch.params.keys()
        assert not [identifier for identifier in touch.names if identifier.startswith("click_id")]


@pytest.mark.parametrize("name", ["gaid", "advertising_id", "android_id", "ifa5", "idfa_sha1"])
def test_what_stands_in_place_of_a_device_id_identifies_nobody(name: str) -> None:
    ad = advertise()
    values = [*NO_IDS, "00000000-0000-0000-0000-000000000000", "guest"]
    if name in {"ifa5", "idfa_sha1"}:  # too short for a hash: they stay, and name nobody
        values = [value for value in values if value.strip("0-") or len(value) >= 32]

    for number, value in enumerate(values):
        ad.click(f"{name}={quote(value)}&click_id=net-{number}")

    for touch, value in zip(ad.touchpoints(), values, strict=True):
        assert {i.partition(":")[0] for i in touch.names} == {"touch", "click_id", "ip"}
        assert touch.params["left_out"] == {name: value}


def test_the_hash_of_nothing_is_no_id() -> None:
    ad = advertise()

    # md5 and sha1 of zeros, of null, and of nothing.
    ad.click(
        "md5_gaid=9f89c84a559f573636a47ff8daed0d33&gaid_sha1=DA39A3EE5E6B4B0D3255BFEF95601890AFD80709"
    )

    assert {i.partition(":")[0] for i in ad.touchpoint().names} == {"touch", "ip"}


@pytest.mark.parametrize("macro", ["%%DEVICE_ID%%", "%%CAMPAIGN%%", "%%CLICKID%%", "%%ADID%%"])
def test_a_macro_between_percent_signs_is_known_although_a_query_encodes_so(macro: str) -> None:
    ad = advertise()

    ad.click(f"click_id={macro}&gaid={macro}")

    touch = ad.touchpoint()
    assert (touch.click_id, touch.params["left_out"].keys()) == ("", {"click_id", "gaid"})


def test_whatever_can_be_a_click_id_stays_one() -> None:
    ad = advertise()
    values = ["x1", "abc_def", "%2Bk3", "7", "{a93f01c7}", "acme_7f3a", "CjwKCAiA_9r"]

    for value in values:
        ad.click(f"click_id={quote(value, safe='')}")

    assert [touch.click_id for touch in ad.touchpoints()] == values
    assert not [touch for touch in ad.touchpoints() if "left_out" in touch.params]


def test_another_name_of_the_click_id_takes_the_place_of_an_unfilled_one() -> None:
    ad = advertise()

    ad.click("click_id={clickid}&clickid=net-7")

    touch = ad.touchpoint()
    assert touch.click_id == "net-7"
    assert touch.params["left_out"] == {"click_id": "{clickid}"}


def test_a_parameter_that_is_no_id_may_be_a_word_but_no_macro() -> None:
    ad = advertise()

    ad.click(
        "click_id=n-1&sub1={sub1}&sub2=0&sub3=unknown&creative_name=%5BCREATIVE%5D&payout=0&odd=%7Bodd%7D"
    )

    params = ad.touchpoint().params
    assert params["left_out"] == {"sub1": "{sub1}", "creative_name": "[CREATIVE]", "odd": "{odd}"}
    assert {name: params.get(name) for name in ("sub1", "sub2", "sub3", "odd", "payout")} == {
        "sub1": None, "sub2": "0", "sub3": "unknown", "odd": None, "payout": "0",
    }  # fmt: skip


def test_a_network_can_not_write_into_what_was_left_out() -> None:
    ad = advertise()

    ad.click("click_id=n-1&left_out=mine")

    assert "left_out" not in ad.touchpoint().params


def test_a_servers_touchpoint_says_what_was_left_out() -> None:
    ad = advertise()

    answer = Program(ad.tenant.sdk_key).post(
        "touchpoints",
        {
            "link": ad.link.token,
            "click_id": "$$CLICK_ID$$",
            "gaid": "null",
            "params": {"sub1": "{s}"},
        },
    )

    assert (answer.status, answer.data["accepted"]) == (202, 1)
    warnings = {warning["pointer"]: warning["detail"] for warning in answer.data["warnings"]}
    assert warnings.keys() == {"/click_id", "/gaid", "/params/sub1"}
    assert "“$$CLICK_ID$$” is a macro that was not filled in" in warnings["/click_id"]
    assert "“null”" in warnings["/gaid"]


def test_a_networks_server_is_told_what_was_left_out() -> None:
    ad = advertise()

    answer = ad.click("s2s=1&ip=203.0.113.7&ua=x&click_id=$$CLICK_ID$$&gaid=null&sub1=a")

    first, second = answer.json()["warnings"]
    assert first.startswith("click_id: “$$CLICK_ID$$” is a macro that was not filled in.")
    assert second.startswith("gaid: “null”")


def test_the_links_page_names_the_parameter_and_the_networks_macro() -> None:
    ad = advertise()
    for sub in "abc":
        ad.click(f"click_id=$$CLICK_ID$$&gaid=null&sub1={sub}")
    other = _other_link_of(ad)

    page, quiet_page = (_page(ad, link) for link in (ad.link.pk, other))

    text = " ".join(page.split())
    assert (
        '<span class="pb-mono">click_id</span> arrives as <span class="pb-mono">$$CLICK_ID$$</span>'
        in text
    )
    assert "3 times among the newest clicks" in text
    assert "“$$CLICK_ID$$” is a macro that was not filled in." in text
    assert '<span class="pb-mono">gaid</span> arrives as <span class="pb-mono">null</span>' in text
    assert 'href="#id_parameters"' in text
    assert "Not filled in by" not in quiet_page


def test_the_api_names_what_a_link_left_out() -> None:
    ad = advertise()
    ad.click("click_id=$$CLICK_ID$$&sub1=a")

    one = Program(ad.tenant.api_token).get(f"tracking-links/{ad.link.public_id}")
    listed = Program(ad.tenant.api_token).get("tracking-links")

    (left_out,) = one.data["left_out"]
    assert (left_out["parameter"], left_out["value"], left_out["count"]) == (
        "click_id",
        "$$CLICK_ID$$",
        1,
    )
    assert listed.data["results"][0]["left_out"] is None


def _other_link_of(ad: Advertised) -> int:
    with tenant(ad.tenant.organization.pk):
        return make.make_link(ad.link.campaign).pk


def _page(ad: Advertised, link: int) -> str:
    return (
        sign_in(ad.tenant.owner)
        .get(f"/admin/apps_registry/trackinglink/{link}/change/")
        .content.decode()
    )
