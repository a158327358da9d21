"""Conditions on fields whose values are a list: any letter case, other names, unknown values."""

import tracemalloc
from decimal import Decimal
from typing import get_args

import pytest

from apps_registry.models.apps import Platform
from postbacks.attribution import matching
from postbacks.callbacks.facts import sample_facts
from postbacks.callbacks.macros import CATALOGUE, RuleError, TemplateError
from postbacks.callbacks.macros.sources import LIFE_CYCLE_TYPES
from postbacks.callbacks.rules.conditions import compile_conditions
from postbacks.callbacks.rules.value_lists import CLOSED_LISTS, values_of
from postbacks.callbacks.values import macro_values
from postbacks.intake.events.fields import Platform as ReportedPlatform
from postbacks.models.skadnetwork import SignatureState, SkanProtocol
from postbacks.values.currencies import CURRENCIES

VALUES = {
    "country": "GB",
    "platform": "ios",
    "currency": "EUR",
    "reporting_currency": "USD",
    "source": "server",
    "event_type": "purchase",
    "attribution_type": "organic",
    "match_type": "advertising_id",
    "att_status": 3,
    "limit_ad_tracking_integer": 0,
    "limit_ad_tracking": False,
    "skan_coarse_value": "high",
    "skan_signature_state": "valid",
    "language": "en-US",
    "os_name": "iOS",
    "connection_type": "wifi",
    "us_privacy": "1YNN",
    "cost_currency": "usd",
}


def line(field: str, operator: str, value: object) -> dict[str, object]:
    return {"all": [{"field": field, "operator": operator, "value": value}]}


def holds(field: str, operator: str, value: object, values: dict[str, object] = VALUES) -> bool:
    conditions = compile_conditions(line(field, operator, value))
    return conditions.refusal(values) is None  # type: ignore[arg-type]  # as events have them


def problem(field: str, operator: str, value: object) -> RuleError:
    with pytest.raises(TemplateError) as refused:
        compile_conditions(line(field, operator, value))
    (only,) = refused.value.problems
    return only


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("country", "=", "gb"),
        ("country", "=", "UK"),
        ("country", "=", " uk "),
        ("country", "in", "de,Uk"),
        ("country", "in", ["fr", "uk"]),
        ("country", "≠", "de"),
        ("country", "not-in", ["de", "El"]),
        ("country", "contains", "g"),
        ("country", "contains", "uk"),
        ("country", "starts-with", "g"),
        ("country", "matches", "^(uk|ie)$"),
        ("country", "matches", r"^\D\D$"),
        ("country_lower", "=", "GB"),
        ("country_lower", "in", "UK,IE"),
        ("country_upper", "=", "gb"),
        ("platform", "=", "iOS"),
        ("platform", "=", "IOS"),
        ("platform", "in", "Android, iOS"),
        ("platform", "not-in", ["Android"]),
        ("platform_upper", "=", "ios"),
        ("currency", "=", "eur"),
        ("currency", "in", ["usd", "Eur"]),
        ("reporting_currency", "=", "usd"),
        ("source", "=", "Server"),
        ("event_type", "=", "Purchase"),
        ("attribution_type", "=", "Organic"),
        ("attribution_type", "≠", "Click"),
        ("match_type", "=", "Advertising_ID"),
        ("att_status", "=", "3"),
        ("att_status", "in", [2, 3]),
        ("att_status", "≥", 2),
        ("limit_ad_tracking", "=", "FALSE"),
        ("skan_coarse_value", "=", "HIGH"),
        ("skan_signature_state", "=", "Valid"),
        ("language", "=", "EN-us"),
        ("language", "starts-with", "EN"),
        ("os_name", "=", "ios"),
        ("connection_type", "=", "WiFi"),
        ("us_privacy", "=", "1ynn"),
        ("cost_currency", "=", "USD"),
    ],
)
def test_a_listed_value_is_compared_in_any_letter_case_and_by_each_name(
    field: str, operator: str, value: object
) -> None:
    assert holds(field, operator, value)


@pytest.mark.parametrize(
    ("field", "operator", "value"),
    [
        ("country", "=", "de"),
        ("country", "≠", "UK"),
        ("country", "not-in", "de,uk"),
        ("platform", "≠", "iOS"),
        ("currency", "in", "usd,gbp"),
        ("attribution_type", "in", "Click,Impression"),
        ("language", "=", "de"),
    ],
)
def test_another_value_does_not_hold(field: str, operator: str, value: object) -> None:
    assert not holds(field, operator, value)


def test_an_event_that_was_stored_under_another_name_is_of_the_same_country() -> None:
    greek = {"country": "EL"}

    assert holds("country", "=", "GR", greek)
    assert holds("country", "=", "el", greek)
    assert not holds("country", "≠", "gr", greek)


@pytest.mark.parametrize("field", ["event_name", "params.tier", "product_id", "customer_user_id"])
def test_what_is_no_list_is_compared_to_the_letter(field: str) -> None:
    values = {field: "Gold", "params": {"tier": "Gold"}}

    assert holds(field, "=", "Gold", values)
    assert not holds(field, "=", "gold", values)


@pytest.mark.parametrize(
    ("field", "operator", "value", "nearest"),
    [
        ("country", "=", "Germany", "DE"),
        ("country", "=", "DEU", "DE"),
        ("country", "=", "USA", "US"),
        ("country", "≠", "Frence", "FR"),
        ("country", "=", "England", "GB"),
        ("country", "starts-with", "Ger", "DE"),
        ("country", "contains", "DE,AT", None),
        ("country", "matches", "^germany$", None),
        ("country", "=", "XX", "XK"),
        ("country", "=", "EU", None),
        ("platform", "=", "iPhone", "ios"),
        ("platform", "=", "iPadOS", "ios"),
        ("platform", "≠", "andriod", "android"),
        ("platform", "=", "Fire OS", "amazon"),
        ("platform", "=", "blackberry", None),
        ("currency", "=", "Euro", "EUR"),
        ("currency", "=", "€", "EUR"),
        ("currency", "=", "RMB", "CNY"),
        ("source", "=", "api", None),
        ("event_type", "=", "instal", "install"),
        ("attribution_type", "=", "view", "impression"),
        ("match_type", "=", "fingerprint", "probabilistic"),
        ("att_status", "=", 4, None),
        ("att_status", "=", "authorized", "3"),
        ("att_status", "≠", "Denied", "2"),
        ("skan_coarse_value", "=", "hight", "high"),
        ("country_lower", "=", "germany", "DE"),
    ],
)
def test_an_unknown_value_is_refused_with_the_nearest(
    field: str, operator: str, value: object, nearest: str | None
) -> None:
    refused = problem(field, operator, value)

    assert refused.field == "conditions.all.0.value"
    assert refused.suggestion == nearest
    assert nearest is None or f"Did you mean {nearest}?" in refused.message


@pytest.mark.parametrize(
    ("value", "place"),
    [(["de", "Germany"], "value.1"), ("de,Germany", "value"), (["DEU", "de"], "value.0")],
)
def test_in_a_list_the_unknown_member_is_named(value: object, place: str) -> None:
    refused = problem("country", "in", value)

    assert refused.field == f"conditions.all.0.{place}"
    assert refused.suggestion == "DE"


def test_several_values_take_an_operator_for_several() -> None:
    refused = problem("country", "=", "DE,AT")

    assert (refused.field, refused.suggestion) == ("conditions.all.0.operator", "in")


def test_a_rule_that_was_saved_with_an_unknown_value_goes_on_as_it_did() -> None:
    stored = line("platform", "in", ["iphone", "iOS"])

    conditions = compile_conditions(stored, is_stored=True)

    assert conditions.refusal({"platform": "ios"}) is None
    assert conditions.refusal({"platform": "iphone"}) is None
    assert conditions.refusal({"platform": "android"}) is not None


def test_the_lists_are_those_of_the_stages_that_write_the_values() -> None:
    members = {name: set(values.members) for name in CLOSED_LISTS if (values := values_of(name))}

    assert members["platform"] == set(Platform.values) == set(get_args(ReportedPlatform))
    assert members["currency"] == set(CURRENCIES)
    assert members["event_type"] == {*LIFE_CYCLE_TYPES, "event"}
    assert members["skan_signature_state"] == set(SignatureState.values)
    assert members["skan_protocol"] == set(SkanProtocol.values)
    assert members["match_type"] == {
        *(matching.REFERRER, matching.STORE_CLAIM, matching.ADVERTISING_ID, matching.DEEP_LINK),
        *(matching.VENDOR_ID, matching.OWN_ID, matching.PROBABILISTIC),
    }


def test_the_sample_and_each_macros_example_are_in_its_list() -> None:
    sample = macro_values(sample_facts())

    for name in CLOSED_LISTS:
        values = values_of(name)
        assert values is not None
        assert values.has(CATALOGUE[name].example), name
        assert name not in sample or values.has(sample[name]), name


@pytest.mark.parametrize(
    ("written", "code"),
    [
        *(("Eire", "IE"), ("Éire", "IE"), ("Republic of Ireland", "IE"), ("Holland", "NL")),
        *(("England", "GB"), ("Great Britain", "GB"), ("U.K.", "GB"), ("Burma", "MM")),
        *(("Ivory Coast", "CI"), ("Korea", "KR"), ("Russia", "RU"), ("Turkey", "TR")),
        *(("Persia", "IR"), ("Siam", "TH"), ("Ceylon", "LK"), ("Brunei Darussalam", "BN")),
        *(("Syrian Arab Republic", "SY"), ("Holy See", "VA"), ("Schweiz", "CH"), ("Polska", "PL")),
    ],
)
def test_a_country_is_suggested_by_each_common_name(written: str, code: str) -> None:
    assert problem("country", "in", [written]).suggestion == code


@pytest.mark.parametrize("written", ["3.0", "3.00", [Decimal("3.0")], [3.0], ["1", "3.0"]])
def test_a_whole_number_may_have_a_point_as_in_events(written: object) -> None:
    operator = "in" if isinstance(written, list) else "="

    assert holds("att_status", operator, written)
    assert not holds("att_status", operator, written, {"att_status": 2})


@pytest.mark.parametrize("written", ["3.5", "4.0", "3.", ".0", "03.0", 3.1])
def test_a_number_that_is_no_status_stays_refused(written: object) -> None:
    problem("att_status", "=", written)


@pytest.mark.parametrize("field", ["country", "language"])
def test_long_values_of_events_are_not_kept(field: str) -> None:
    values = values_of(field)
    assert values is not None
    tracemalloc.start()
    try:
        for number in range(200):
            values.key(f"{number}" + "\N{GRINNING FACE}" * 4_000)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
