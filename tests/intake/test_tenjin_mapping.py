"""What calls of Tenjin's API become."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from postbacks.intake.events.validation import check_event
from postbacks.intake.sdk_keys import Reporter
from postbacks.intake.tenjin.mapping import LONGEST_TEXT, Call, tenjin_name, to_sdk_event
from postbacks.intake.tenjin.parameters import NAMES, in_known_case, read_query

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
INSTALLATION = "91d1c313-dd94-4bd3-bbbb-16c8b7afa054"
ZEROS = "00000000-0000-0000-0000-000000000000"
REPORTER = Reporter(1, 7, is_server=True, platform="ios", bundle_ids=())


def mapped(call: Call = Call.EVENT, **parameters: object) -> dict[str, object]:
    return to_sdk_event(call, parameters, app_id=7, platform="ios", now=NOW)


def test_a_call_without_a_name_is_an_open_and_one_with_a_name_that_event() -> None:
    assert mapped()["event_name"] == "open"
    assert mapped(event="")["event_name"] == "open"
    assert mapped(event="level_up")["event_name"] == "level_up"


@pytest.mark.parametrize("written", [INSTALLATION, INSTALLATION.upper().replace("-", "")])
def test_an_installation_has_one_id_however_it_is_written(written: str) -> None:
    event = mapped(analytics_installation_id=written)

    assert event["install_id"] == "91d1c313-dd94-4bd3-bbbb-16c8b7afa054"


@pytest.mark.parametrize(
    ("sent", "platform", "field"),
    [
        ("ios", "ios", "idfa"),
        ("android", "android", "gaid"),
        ("amazon", "amazon", "amazon_id"),
        ("android_other", "android", "advertising_id"),
        ("windows", "windows", "advertising_id"),
    ],
)
def test_the_platform_says_what_the_advertising_id_is(sent: str, platform: str, field: str) -> None:
    event = to_sdk_event(
        Call.EVENT, {"platform": sent, "advertising_id": "ab-1"}, app_id=7, platform="ios", now=NOW
    )

    assert (event["platform"], event[field]) == (platform, "ab-1")


def test_zeros_are_no_ids() -> None:
    event = mapped(advertising_id=ZEROS, analytics_installation_id=ZEROS, developer_device_id=ZEROS)

    fields = check_event(event, reporter=REPORTER, now=NOW).row["fields"]

    assert fields == {"left_out_ids": {"idfa": ZEROS, "idfv": ZEROS, "install_id": ZEROS}}


def test_every_documented_parameter_of_the_device_finds_its_field() -> None:
    event = mapped(
        developer_device_id="5f4dcc3b",
        customer_user_id="u-7",
        app_version="1.5",
        country="de",
        ip_address="203.0.113.7",
        locale="de_DE",
        device_model="iPhone17,1",
        os_version="18.2",
        limit_ad_tracking="1",
        tracking_status="2",
        ad_user_data="1",
        ad_personalization="0",
        referrer="utm_source=x",
        attribution_token="abc",
        bundle_id="com.example.app",
    )

    assert (
        event.items()
        >= {
            "idfv": "5f4dcc3b",
            "customer_user_id": "u-7",
            "app_version": "1.5",
            "country": "de",
            "ip_address": "203.0.113.7",
            "locale": "de_DE",
            "device_model": "iPhone17,1",
            "os_version": "18.2",
            "limit_ad_tracking": True,
            "att_status": 2,
            "ad_user_data": True,
            "ad_personalization": False,
            "install_referrer": "utm_source=x",
            "adservices_token": "abc",
            "bundle_id": "com.example.app",
            "params": {},
        }.items()
    )


def test_androids_version_is_its_api_level() -> None:
    event = mapped(platform="android", os_version="34", os_version_release="14")

    assert (event["os_version"], event["api_level"]) == ("14", "34")


def test_a_purchase_earns_its_price_times_its_quantity() -> None:
    event = mapped(Call.PURCHASE, price="0.10", quantity="3", currency="EUR", product_id="gems")

    assert (event["event_name"], event["revenue"]) == ("purchase", Decimal("0.30"))
    assert (event["price"], event["quantity"], event["currency"]) == (Decimal("0.10"), 3, "EUR")
    assert event["product_id"] == "gems"


def test_a_price_that_is_no_number_is_left_to_be_refused() -> None:
    event = mapped(Call.PURCHASE, price="much", quantity="1")

    assert event["price"] == "much"
    assert "revenue" not in event


def test_what_has_no_place_is_kept_and_the_key_is_not() -> None:
    event = mapped(api_key="secret", event="buy", value="7", build_id="22C150", receipt="r")

    assert event["params"] == {"value": 7, "build_id": "22C150", "receipt": "r"}


def test_a_huge_receipt_does_not_cost_the_purchase() -> None:
    event = mapped(Call.PURCHASE, price="1", receipt="r" * (LONGEST_TEXT + 1))

    assert event["params"] == {}


def test_a_country_that_is_none_is_kept_aside() -> None:
    event = mapped(country="419", ip_address="somewhere")

    assert event["params"] == {"country": "419", "ip_address": "somewhere"}
    assert not event.keys() & {"country", "ip_address"}


@pytest.mark.parametrize(
    ("sent", "revenue", "currency"),
    [
        ({"revenue": "0.0021", "ad_revenue_currency": "EUR"}, "0.0021", "EUR"),
        ({"publisher_revenue_micro": "2100", "publisher_revenue_decimal": "0"}, "0.0021", "USD"),
        ({"publisher_revenue_decimal": "N/A", "revenue": "0.5"}, "0.5", "USD"),
        ({"revenue_decimal": "0.01", "currency": "JPY"}, "0.01", "JPY"),
        ({"revenue_cpm": "2.5", "currency": "USD"}, "0.0025", "USD"),
        ({"ilrd": {"publisher_revenue": "0.3", "currency": "GBP"}}, "0.3", "GBP"),
        ({"revenue": "0"}, "0", "USD"),
    ],
)
def test_an_impression_earns_what_its_mediation_says(
    sent: dict[str, object], revenue: str, currency: str
) -> None:
    event = mapped(Call.AD_IMPRESSION, **sent)

    assert event["event_name"] == "ad_impression"
    assert (event["revenue"], event["currency"]) == (Decimal(revenue), currency)
    assert event["params"] == sent


def test_an_impression_without_an_amount_earns_nothing() -> None:
    assert not mapped(Call.AD_IMPRESSION, format="banner").keys() & {"revenue", "currency"}


def test_a_conversion_value_is_kept_for_skadnetwork() -> None:
    event = mapped(
        Call.CONVERSION_VALUE,
        conversion_value="12",
        coarse_conversion_value="high",
        lock_window="true",
    )

    assert event["event_name"] == "conversion_value"
    assert event["params"] == {
        "conversion_value": 12,
        "coarse_conversion_value": "high",
        "lock_window": "true",
    }


def test_a_retry_with_its_time_has_the_same_id_and_another_event_has_not() -> None:
    sent = {"analytics_installation_id": INSTALLATION, "sent_at": "1795608000123", "event": "buy"}

    first, retry = mapped(**sent), mapped(**sent, country="DE", advertising_id="late-known")

    assert first["event_id"] == retry["event_id"]
    assert mapped(**{**sent, "event": "win"})["event_id"] != first["event_id"]
    assert mapped(**sent, value="2")["event_id"] != first["event_id"]
    assert mapped(Call.PURCHASE, **sent)["event_id"] != first["event_id"]
    assert "event_id" not in mapped(analytics_installation_id=INSTALLATION, event="buy")


def test_a_caller_may_name_the_event_itself() -> None:
    assert mapped(event_id="0d6e1b3c-5f0a-4f6e-9d3e-2b6f4a1c7e55")["event_id"].startswith(
        "0d6e1b3c"
    )


@pytest.mark.parametrize(
    ("sent_at", "taken"),
    [
        (str(int((NOW - timedelta(hours=3)).timestamp() * 1000)), "2026-11-25T09:00:00.000+00:00"),
        (str(int((NOW - timedelta(hours=3)).timestamp())), "2026-11-25T09:00:00.000+00:00"),
        ("2026-11-25T11:00:00+02:00", "2026-11-25T09:00:00.000+00:00"),
        # Passed on with `sent_at`, by which the event is corrected to now.
        (str(int((NOW + timedelta(days=3)).timestamp())), "2026-11-28T12:00:00.000+00:00"),
        (str(int((NOW - timedelta(days=80)).timestamp())), None),
        ("yesterday", None),
        ("9" * 400, None),
    ],
)
def test_the_time_is_when_it_was_sent_if_a_clock_can_be_so_wrong(
    sent_at: str, taken: str | None
) -> None:
    assert mapped(sent_at=sent_at).get("event_time") == taken


def test_a_fault_is_named_as_the_caller_names_the_field() -> None:
    assert tenjin_name("/att_status") == "tracking_status"
    assert tenjin_name("/bundle_id") == "bundle_id"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("203.0.113.9:49153", "203.0.113.9"),
        ("[2001:db8::7]:80", "2001:db8::7"),
        ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("unknown", None),
    ],
)
def test_an_address_is_read_as_a_proxy_passed_it_on(sent: str, kept: str | None) -> None:
    assert mapped(ip_address=sent).get("ip_address") == kept


@pytest.mark.parametrize(
    ("sent", "opted_out"),
    [
        *((word, True) for word in ("on", "ON", "Y", "y", "yes", "t", "T", "TRUE", " 1 ", "1.0")),
        *((word, False) for word in ("off", "Off", "N", "no", "f", "F", "False", "0", "0.0")),
        *((number, True) for number in (True, 1, Decimal("1.0"))),
        *((number, False) for number in (False, 0, Decimal("0.0"))),
        *((word, True) for word in ("denied", "opted_out", "Opt-Out", "restricted")),
        *((word, False) for word in ("authorized", "optIn")),
        *((word, True) for word in ("2", "ja", "oui", "x" * 300, ["1"], Decimal("1e1000000"))),
        *((word, None) for word in ("", "null", "{{limit_ad_tracking}}", "unknown")),
    ],
    ids=repr,
)
def test_no_opt_out_is_lost(sent: object, opted_out: bool | None) -> None:
    assert mapped(limit_ad_tracking=sent).get("limit_ad_tracking") is opted_out


@pytest.mark.parametrize(
    ("sent", "allowed"),
    [
        ("GRANTED", True),
        ("on", True),
        ("1.0", True),
        ("denied", False),
        ("f", False),
        ("never", False),
        ("-1", False),
        ("unspecified", None),
    ],
)
def test_what_nobody_knows_is_no_consent(sent: str, allowed: bool | None) -> None:
    event = mapped(ad_user_data=sent, ad_personalization=sent)

    assert (event.get("ad_user_data"), event.get("ad_personalization")) == (allowed, allowed)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        ("2", 2),
        ("2.0", 2),
        (Decimal("3.0"), 3),
        ("denied", 2),
        ("DENIED", 2),
        ("Restricted", 1),
        ("authorized", 3),
        ("authorised", 3),
        ("notDetermined", 0),
        ("not_determined", 0),
        ("ATTrackingManagerAuthorizationStatusDenied", 2),
        (".authorized", 3),
        ("4", 2),
        ("1.5", 2),
        ("refusé", 2),
        ("1e1000000", 2),
        ("null", None),
        ("$STATUS$", None),
    ],
)
def test_apples_words_are_read(sent: object, status: int | None) -> None:
    assert mapped(tracking_status=sent).get("att_status") == status


@pytest.mark.parametrize(
    ("query", "opted_out", "status"),
    [
        ("limit_ad_tracking=1&limit_ad_tracking=0", True, None),
        ("limit_ad_tracking=0&limit_ad_tracking=on", True, None),
        ("limit_ad_tracking=0&limit_ad_tracking=false&limit_ad_tracking=", False, None),
        ("tracking_status=3&tracking_status=denied", None, 2),
        ("tracking_status=2&tracking_status=3", None, 2),
        ("tracking_status=3&tracking_status=authorized", None, 3),
    ],
)
def test_of_contradicting_consents_the_opt_out_counts(
    query: str, opted_out: bool | None, status: int | None
) -> None:
    event = mapped(**read_query(query))

    assert (event.get("limit_ad_tracking"), event.get("att_status")) == (opted_out, status)


@pytest.mark.parametrize(("other", "small"), [("1", "0"), ("0", "1")])
def test_another_letter_case_takes_back_no_opt_out(other: str, small: str) -> None:
    sent = in_known_case({"Limit_Ad_Tracking": other, "limit_ad_tracking": small}, NAMES)

    assert mapped(**sent)["limit_ad_tracking"] is True


def test_a_word_of_consent_that_nobody_knows_is_kept_as_it_was_sent() -> None:
    event = mapped(limit_ad_tracking="peut-être", tracking_status="vielleicht", ad_user_data="1")

    assert event["params"] == {"limit_ad_tracking": "peut-être", "tracking_status": "vielleicht"}


@pytest.mark.parametrize(
    "sent", ["1e200000", "1e1000000", "1E+999999999", "9" * 500, "1_000", "Infinity", "sNaN"]
)
def test_a_quantity_is_never_written_out(sent: str) -> None:
    event = mapped(Call.PURCHASE, price="1", quantity=sent)

    assert not isinstance(event["quantity"], int)


@pytest.mark.parametrize("sent", ["9" * 500, "1e1000000"])
def test_a_price_that_is_no_amount_earns_nothing(sent: str) -> None:
    assert "revenue" not in mapped(Call.PURCHASE, price=sent)


@pytest.mark.parametrize(
    ("sent", "platform"),
    [
        ("iPhone", "ios"),
        ("iPad", "ios"),
        ("iPadOS", "ios"),
        ("iOS 17.5", "ios"),
        ("tvOS", "ios"),
        ("Android TV", "android"),
        ("ANDROID", "android"),
        ("android-tv", "android"),
        ("Fire TV", "amazon"),
        ("Kindle", "amazon"),
        ("UWP", "windows"),
        ("WebGL", "web"),
        ("Tizen", "tv"),
        ("toaster", "other"),
        ("other", "other"),
    ],
)
def test_a_platform_is_known_by_its_other_names(sent: str, platform: str) -> None:
    assert mapped(platform=sent)["platform"] == platform
