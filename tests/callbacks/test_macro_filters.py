"""What each filter does, and which arguments it refuses."""

import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from urllib.parse import unquote

import pytest

from postbacks.callbacks.macros import (
    FILTERS,
    RequestTemplate,
    TemplateError,
    UnknownNameError,
    Value,
    compile_request,
    read_macro,
)

TIME = datetime(2026, 1, 14, 22, 30, 5, 120_000, tzinfo=UTC)
VALUES: dict[str, Value] = {
    "country": "De",
    "idfa": "AB-cd",
    "revenue": Decimal("4.985"),
    "currency": "usd",
    "revenue_usd_gross": Decimal("10"),
    "limit_ad_tracking": True,
    "is_organic": False,
    "event_time": TIME,
    "platform": "ios",
    "app_name": " a/é ",
    "params": {"at": "2026-01-14T22:30:05.120Z", "ms": 1768429805120, "no": "no", "big": "9" * 41},
}


class Rates:
    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        return {("USD", "EUR"): amount / 2, ("EUR", "USD"): amount * 2}.get((source, target))


def rendered(macro: str) -> str:
    template = RequestTemplate("GET", "https://x.example.com/?v={{" + macro + "}}")
    url = compile_request(template).render(VALUES, rates=Rates()).request.url
    return unquote(url.partition("?v=")[2])


@pytest.mark.parametrize(
    ("macro", "expected"),
    [
        ("country|upper", "DE"),
        ("country|lower", "de"),
        ("app_name|trim", "a/é"),
        ("idfa|nohyphen", "ABcd"),
        ("idfa|md5", hashlib.md5(b"AB-cd", usedforsecurity=False).hexdigest()),
        ("idfa|sha1", hashlib.sha1(b"AB-cd", usedforsecurity=False).hexdigest()),
        ("idfa|lower|sha256", hashlib.sha256(b"ab-cd").hexdigest()),
        ("idfa|base64", "QUItY2Q="),
        ("app_name|trim|urlencode", "a%2F%C3%A9"),
        ("country|json", '"De"'),
        ("params|json|truncate:6", '{"at":'),
        ("revenue|round:2", "4.99"),
        ("revenue|round", "5"),
        ("revenue|cents", "499"),
        ("revenue_usd_gross|cents", "1000"),
        ("revenue|micros", "4985000"),
        ("revenue|int", "4"),
        ("limit_ad_tracking|int", "1"),
        ("limit_ad_tracking|bool", "1"),
        ('is_organic|bool:"yes,no"', "no"),
        ("params.no|bool", "0"),
        ("country|bool", ""),
        ('platform|map:"ios=1,android=2"', "1"),
        ('country|map:"ios=1"', ""),
        ("country|map:\"ios=1\"|default:'0'", "0"),
        ('event_time|date:"%Y-%m-%d %H:%M"', "2026-01-14 22:30"),
        ('event_time|tz:"Europe/Kyiv"|date:"%F %T"', "2026-01-15 00:30:05"),
        ('event_time|tz:"Europe/Kyiv"|iso', "2026-01-15T00:30:05.120+02:00"),
        ("event_time|iso", "2026-01-14T22:30:05.120Z"),
        ("event_time|unix", "1768429805"),
        ("event_time|unix_ms", "1768429805120"),
        ("params.at|unix_ms", "1768429805120"),
        ("params.ms|iso", "2026-01-14T22:30:05.120Z"),
        ("country|iso", ""),
        ("params.big|cents", ""),
        ('idfa|truncate:2|default:"x"', "AB"),
        ('gaid|upper|default:"none"', "none"),
        ('revenue|convert:"EUR"', "2.4925"),
        ('revenue|convert:"usd"', "4.985"),
        ('revenue|convert:"UAH"', ""),
        ('revenue_usd_gross|convert:"EUR"|cents', "500"),
        ("idfa_md5", hashlib.md5(b"AB-cd", usedforsecurity=False).hexdigest()),
        ("idfa_lower_sha1", hashlib.sha1(b"ab-cd", usedforsecurity=False).hexdigest()),
        ("country_upper", "DE"),
        ("event_time_ms", "1768429805120"),
        ("limit_ad_tracking", "true"),
        ("is_organic_integer", "0"),
    ],
)
def test_a_filter_changes_the_value(macro: str, expected: str) -> None:
    assert rendered(macro) == expected


class AnyRates:
    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        return amount


@pytest.mark.parametrize(
    ("macro", "amount", "currency", "expected"),
    [
        ("revenue|cents", "4.995", "USD", "500"),
        ("revenue|cents", "4.994", "eur", "499"),
        ("revenue|cents", "100", "JPY", "100"),
        ("revenue|cents", "99.5", "KRW", "100"),
        ("revenue|cents", "1.234", "KWD", "1234"),
        ("revenue|cents", "1.2345", "BHD", "1235"),
        ("revenue|cents", "1.23456", "CLF", "12346"),
        ("revenue|cents", "4.995", None, "500"),
        ("revenue|cents", "4.995", "GEMS", "500"),
        ("revenue|cents", "-4.995", "USD", "-500"),
        ("revenue|cents", "-0.001", "USD", "0"),
        ("revenue|cents", "0", "USD", "0"),
        ("revenue|cents", "1e3", "USD", "100000"),
        ("revenue|cents", "19.99", "USD", "1999"),
        ("revenue|cents", "1.15", "USD", "115"),
        ("revenue|cents", "0.29", "USD", "29"),
        ("revenue|minor", "4.995", "USD", "500"),
        ("revenue|minor", "100", "JPY", "100"),
        ("revenue|minor", "1.234", "KWD", "1234"),
        ("revenue|minor", "4.99", None, ""),
        ("revenue|minor", "4.99", "GEMS", ""),
        ("revenue|minor|default:'0'", "4.99", None, "0"),
        ("params.total|cents", "4.995", "JPY", "50"),
        ('revenue|convert:"JPY"|cents', "100.4", "USD", "100"),
        ('revenue|convert:"KWD"|minor', "1.2", "JPY", "1200"),
        ('revenue|convert:"EUR"|cents', "100", "JPY", "10000"),
        ("revenue_usd_gross|cents", "4.995", "JPY", "500"),
        ("cost_amount|cents", "4.995", "JPY", "500"),
        ("skan_least_revenue|minor", "4.995", "JPY", "500"),
        ("revenue|micros", "100", "JPY", "100000000"),
    ],
)
def test_cents_are_whole_minor_units_of_the_currency(
    macro: str, amount: str, currency: str | None, expected: str
) -> None:
    money = Decimal(amount)
    values: dict[str, Value] = {
        "currency": currency,
        **dict.fromkeys(("revenue", "revenue_usd_gross", "cost_amount"), money),
        "cost_currency": "USD",
        "skan_least_revenue": money,
        "skan_currency": "USD",
        "params": {"total": "49.95"},
    }
    template = RequestTemplate("GET", "https://x.example.com/?v={{" + macro + "}}")

    url = compile_request(template).render(values, rates=AnyRates()).request.url

    assert unquote(url.partition("?v=")[2]) == expected


@pytest.mark.parametrize(
    "macro",
    [
        "idfa|upper:1",
        "revenue|cents:2",
        "revenue|minor:JPY",
        "revenue|round:x",
        "revenue|round:99",
        "idfa|truncate",
        "idfa|truncate:0",
        "idfa|truncate:99999999999999999999",
        'is_organic|bool:"1"',
        "platform|map",
        'platform|map:"ios"',
        'event_time|date:"%999999999Y"',
        'event_time|date:"%Q"',
        'event_time|date:"%"',
        "event_time|date",
        'event_time|tz:"../../etc/passwd"',
        'event_time|date:"%Y"|tz:"Europe/Kyiv"',
        'revenue|convert:"EURO"',
        'revenue|convert:"EUR"|convert:"GBP"',
        'revenue||revenue_usd_gross|convert:"EUR"',
        'idfa|hmac_sha256:"secret"',
        "idfa|hmac_sha256",
        "idfa" + "|upper" * 17,
    ],
)
def test_a_wrong_argument_can_not_be_saved(macro: str) -> None:
    with pytest.raises(TemplateError) as error:
        rendered(macro)

    assert error.value.problems[0].field == "url"


def test_a_mistyped_time_zone_is_suggested() -> None:
    with pytest.raises(TemplateError, match="Did you mean Europe/Kyiv"):
        rendered('event_time|tz:"Europe/Kyivv"')


@pytest.mark.parametrize("name", ["idfa_ms", "country_integer", "event_time_md5", "params_upper"])
def test_an_ending_works_on_fitting_macros_only(name: str) -> None:
    with pytest.raises(TemplateError, match="does not fit"):
        rendered(name)


def test_a_name_of_the_catalogue_wins_over_an_ending() -> None:
    values = {"limit_ad_tracking": True, "limit_ad_tracking_integer": 7}

    assert read_macro(values, "limit_ad_tracking_integer") == 7


def test_conversion_without_rates_gives_no_value() -> None:
    template = RequestTemplate("GET", "https://x.example.com/?v={{revenue|convert:'EUR'}}")

    rendering = compile_request(template).render(VALUES)

    assert rendering.request.url == "https://x.example.com/?v="
    assert rendering.missing == ("revenue",)


def test_a_value_that_a_filter_can_not_handle_is_no_value() -> None:
    template = RequestTemplate("GET", "https://x.example.com/?v={{event_time|tz:'Asia/Tokyo'|iso}}")
    last_second = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)

    rendering = compile_request(template).render({"event_time": last_second})

    assert rendering.missing == ("event_time",)


def test_a_macro_can_be_read_by_name_where_there_is_no_template() -> None:
    assert read_macro(VALUES, "params.no") == "no"
    assert read_macro(VALUES, "country_lower") == "de"
    assert read_macro(VALUES, "gaid") is None
    with pytest.raises(UnknownNameError):
        read_macro(VALUES, "credential.api_key")


def test_every_filter_says_what_it_does_with_an_example_that_compiles() -> None:
    for each in FILTERS.values():
        template = RequestTemplate("GET", "https://x.example.com/?v={{idfa|" + each.example + "}}")

        compile_request(
            template, credential_names=["secret"], allowed_hosts=["x.example.com"]
        ).render({})

        assert each.description
