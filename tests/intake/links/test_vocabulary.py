"""Links as other vendors write them mean the same as ours, in every spelling of an id."""

from datetime import UTC, datetime, timedelta

import pytest

from postbacks.intake.links.reading import read_query
from postbacks.values.timestamps import parse_timestamp

ID = "38400000-8cf0-11bd-b23e-10b96e40000d"
SHA1 = "a9993e364706816aba3e25717850c26c9cd0d89d"
MD5 = "900150983cd24fb0d6963f7d28e17f72"

LINKS = {
    "adjust": (
        "campaign=Summer&adgroup=DE&creative=video&label=x&gps_adid="
        + ID
        + "&external_click_id=n-1&ip_address=203.0.113.9&user_agent=UA&s2s=1",
        {
            "campaign_name": "Summer",
            "adset_name": "DE",
            "creative_name": "video",
            "gaid": ID,
            "click_id": "n-1",
            "ip_address": "203.0.113.9",
            "user_agent": "UA",
        },
    ),
    "appsflyer": (
        "pid=net_int&c=Summer&af_c_id=42&af_adset=DE&af_adset_id=7&af_ad=A&af_ad_id=9&af_siteid=s1"
        "&af_sub_siteid=s2&af_sub1=a&af_prt=Agency&af_keywords=games&af_cost_value=1.2"
        "&af_cost_currency=EUR&af_cost_model=cpi&clickid=n-1&advertising_id=" + ID + "&af_ip=::1"
        "&af_ua=UA&af_lang=de&af_dp=gem%3A%2F%2Fx&redirect=false",
        {
            "campaign_name": "Summer",
            "campaign_id": "42",
            "adset_name": "DE",
            "adset_id": "7",
            "ad_name": "A",
            "ad_id": "9",
            "site_id": "s1",
            "sub_site_id": "s2",
            "sub1": "a",
            "agency": "Agency",
            "keyword": "games",
            "cost_amount": "1.2",
            "cost_currency": "EUR",
            "cost_type": "cpi",
            "click_id": "n-1",
            "advertising_id": ID,
            "ip_address": "::1",
            "user_agent": "UA",
            "language": "de",
            "deep_link": "gem://x",
        },
    ),
    "singular": (
        "st=123&h=abc&cl=n-1&aifa=" + ID + "&pcn=Summer&pcid=42&psn=Puzzle&psid=s1&ip=203.0.113.9"
        "&ua=UA&ve=17.5&lc=de_DE&_dl=gem%3A%2F%2Fx&_fallback_redirect=https%3A%2F%2Fa.example",
        {
            "click_id": "n-1",
            "gaid": ID,
            "campaign_name": "Summer",
            "campaign_id": "42",
            "site_name": "Puzzle",
            "site_id": "s1",
            "ip_address": "203.0.113.9",
            "user_agent": "UA",
            "os_version": "17.5",
            "language": "de_DE",
            "deep_link": "gem://x",
            "fallback": "https://a.example",
        },
    ),
    "tenjin": (
        "click_id=n-1&advertising_id=" + ID + "&developer_device_id=V&campaign_id=42&site_id=s1"
        "&creative_name=video&ip_address=203.0.113.9",
        {
            "click_id": "n-1",
            "advertising_id": ID,
            "idfv": "V",
            "campaign_id": "42",
            "site_id": "s1",
            "creative_name": "video",
            "ip_address": "203.0.113.9",
        },
    ),
    "appmetrica": (
        "click_id=n-1&google_aid=" + ID + "&device_ip=203.0.113.9&device_ua=UA"
        "&click_timestamp=1764000000&noredirect=1",
        {
            "click_id": "n-1",
            "gaid": ID,
            "ip_address": "203.0.113.9",
            "user_agent": "UA",
            "click_time": "1764000000",
        },
    ),
    "airbridge": (
        "campaign=Summer&campaign_id=42&ad_group=DE&ad_group_id=7&ad_creative=video"
        "&ad_creative_id=3&term=games&click_id=n-1&sub_id=s1&sub_id_1=a&ifa_raw="
        + ID
        + "&deeplink_url=gem%3A%2F%2Fx&language=de",
        {
            "campaign_name": "Summer",
            "campaign_id": "42",
            "adset_name": "DE",
            "adset_id": "7",
            "creative_name": "video",
            "creative_id": "3",
            "keyword": "games",
            "click_id": "n-1",
            "site_id": "s1",
            "sub1": "a",
            "idfa": ID,
            "deep_link": "gem://x",
            "language": "de",
        },
    ),
    "branch": (
        "~click_id=n-1&~campaign=Summer&~campaign_id=42&~ad_set_name=DE&~ad_set_id=7&~ad_name=A"
        "&~ad_id=9&~creative_name=video&~secondary_publisher=Puzzle&~channel=feed&%24aaid="
        + ID
        + "&%24s2s=true&%24fallback_url=https%3A%2F%2Fa.example",
        {
            "click_id": "n-1",
            "campaign_name": "Summer",
            "campaign_id": "42",
            "adset_name": "DE",
            "adset_id": "7",
            "ad_name": "A",
            "ad_id": "9",
            "creative_name": "video",
            "site_name": "Puzzle",
            "channel": "feed",
            "gaid": ID,
            "fallback": "https://a.example",
        },
    ),
}


@pytest.mark.parametrize("vendor", LINKS)
def test_a_vendors_link_is_understood(vendor: str) -> None:
    query, expected = LINKS[vendor]

    read = read_query(query)

    assert read.by_our_name == expected
    assert "click_id:n-1" in read.identifiers()
    assert f"advertising:{ID}" in read.identifiers()


@pytest.mark.parametrize(
    ("vendor", "expected"),
    [
        *((vendor, True) for vendor in ("adjust", "appsflyer", "appmetrica", "branch")),
        *((vendor, False) for vendor in ("singular", "tenjin", "airbridge")),
    ],
)
def test_a_vendors_server_is_told_from_a_browser(vendor: str, expected: bool) -> None:
    assert read_query(LINKS[vendor][0]).from_server is expected


@pytest.mark.parametrize(
    "name",
    [
        *("sha1_advertising_id", "sha1_idfa", "sha1_android_id", "sha1_oaid"),  # AppsFlyer
        *("gps_adid_sha1", "idfa_lower_sha1", "android_id_upper_sha1", "gps_adid_sha1_hex"),
        *("ifa1", "ifv1", "aif1", "and1"),  # Singular
        *("google_aid_sha1", "ios_ifa_sha1", "oaid_sha1"),  # AppMetrica
        *("gaid_sha1", "ifa_sha1", "$idfa_sha1", "IDFA_SHA1"),
        *("gaid", "idfa", "advertising_id"),  # where the id itself belongs
    ],
)
def test_an_id_hashed_by_sha1_is_known_in_every_spelling(name: str) -> None:
    assert f"sha1:{SHA1}" in read_query(f"{name}={SHA1.upper()}").identifiers()


@pytest.mark.parametrize(
    "name",
    [
        *("md5_advertising_id", "md5_idfa", "gps_adid_md5", "idfa_md5_hex", "gps_adid_lower_md5"),
        *(
            "ifa5",
            "ifv5",
            "aif5",
            "and5",
            "google_aid_md5",
            "ios_ifa_md5",
            "gaid_md5",
            "fire_adid_md5",
        ),
        *("gaid", "idfa"),
    ],
)
def test_an_id_hashed_by_md5_is_known_in_every_spelling(name: str) -> None:
    assert f"md5:{MD5}" in read_query(f"{name}={MD5}").identifiers()


@pytest.mark.parametrize(
    "name",
    [
        *("gaid", "gps_adid", "aifa", "google_aid", "gaid_raw", "aaid", "advertising_id"),
        *("idfa", "ios_ifa", "ifa_raw", "oaid", "fire_adid", "amazon_fire_id", "GAID", "$aaid"),
    ],
)
def test_an_advertising_id_is_known_by_every_name_case_and_without_dashes(name: str) -> None:
    for value in (ID, ID.upper(), ID.replace("-", "")):
        assert f"advertising:{ID}" in read_query(f"{name}={value}").identifiers()


@pytest.mark.parametrize(
    "value",
    [
        *("", "00000000-0000-0000-0000-000000000000", "0" * 32, "0" * 40, "{gaid}", "[GAID]"),
        *("__GAID__", "%25GAID%25", "%7B%7Bgaid%7D%7D", "null", "n%2Fa", "not-an-id"),
    ],
)
def test_what_is_no_id_names_nobody(value: str) -> None:
    assert (
        read_query(f"gaid={value}&gaid_md5={value}&gaid_sha1={value}").identifiers() == frozenset()
    )


def test_our_own_name_counts_before_the_others_unless_it_is_empty() -> None:
    assert read_query("clickid=b&click_id=a").by_our_name["click_id"] == "a"
    assert read_query("clickid=b&click_id=").by_our_name["click_id"] == "b"
    assert read_query("clickid=b&click_id={clickid}").by_our_name["click_id"] == "b"


@pytest.mark.parametrize(
    "text",
    [
        "1764000000",
        "1764000000.0",
        "1764000000000",
        "2025-11-24T16:00:00Z",
        "2025-11-24T17:00:00+01:00",
    ],
)
def test_a_time_is_read_in_every_form(text: str) -> None:
    moment = parse_timestamp(text)

    assert moment is not None
    assert abs(moment - datetime(2025, 11, 24, 16, tzinfo=UTC)) < timedelta(seconds=1)
