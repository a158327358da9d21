"""From the facts of an event to the values of macros."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from postbacks.callbacks.facts import Facts, PostbackFacts, sample_facts
from postbacks.callbacks.macros import CATALOGUE, RequestTemplate, compile_request
from postbacks.callbacks.values import macro_values
from postbacks.values.attribution import AttributionFacts

ORGANIC_WITHOUT = {
    *("campaign_id", "campaign_name", "creative_name", "site_id", "click_id", "engaged_at_ms"),
}
TENJIN = (
    *("advertising_id", "ip_address", "bundle_id", "campaign_id", "event_name", "campaign_name"),
    *("site_id", "click_id", "store_id", "os_version", "country", "engaged_at_ms"),
    *("acquired_at_ms", "time_in_ms", "device", "creative_name", "ad_network", "platform"),
    *("limit_ad_tracking_integer", "value", "revenue_usd_gross", "revenue_usd_net"),
)


class Rates:
    def convert(self, amount: Decimal, source: str, target: str) -> Decimal | None:
        return amount * 2 if (source, target) == ("EUR", "USD") else None


def facts(*, currency: str = "USD", platform: str = "ios", **fields: object) -> Facts:
    sample = sample_facts()
    event = replace(sample.event, currency=currency, platform=platform, fields=fields)
    return replace(sample, event=event)


@pytest.mark.parametrize("name", TENJIN)
def test_an_attributed_purchase_has_a_value_for_every_name_of_tenjin(name: str) -> None:
    assert name in CATALOGUE
    assert macro_values(sample_facts())[name] != ""


@pytest.mark.parametrize("name", TENJIN)
def test_an_organic_purchase_lacks_what_the_catalogue_says_it_lacks(name: str) -> None:
    values = macro_values(replace(sample_facts(), attribution=AttributionFacts()))

    assert (name in values) == (name not in ORGANIC_WITHOUT)
    if name in ORGANIC_WITHOUT - {"engaged_at_ms"}:
        assert "none for organic installs" in CATALOGUE[name].description


def test_an_organic_install_names_organic_as_its_network() -> None:
    values = macro_values(replace(sample_facts(), attribution=AttributionFacts()))

    assert values["ad_network"] == "organic"
    assert values["is_organic"] is True


def test_values_have_the_types_that_the_catalogue_promises() -> None:
    values = macro_values(sample_facts())

    types = {
        "text": str,
        "integer": int,
        "decimal": Decimal,
        "boolean": bool,
        "time": datetime,
        "json": dict,
    }
    assert len(values) > 60
    for name, value in values.items():
        assert isinstance(value, types[CATALOGUE[name].type]), name


def test_times_in_milliseconds_are_whole_numbers() -> None:
    values = macro_values(sample_facts())

    assert values["time_in_ms"] == 1768414961387
    assert values["acquired_at_ms"] == 1768208590120
    assert values["engaged_at_ms"] == 1768208462055


@pytest.mark.parametrize(
    ("platform", "fields", "expected"),
    [
        ("ios", {"advertising_id": "A", "idfa": "I"}, "A"),
        ("ios", {"idfa": "I", "gaid": "G"}, "I"),
        ("android", {"idfa": "I", "gaid": "G"}, "G"),
        ("android", {"oaid": "O"}, "O"),
        ("amazon", {"amazon_id": "Z", "gaid": "G"}, "Z"),
        ("other", {"oaid": "O"}, "O"),
        ("ios", {"gaid": "G"}, None),
        ("ios", {"advertising_id": "00000000-0000-0000-0000-000000000000", "idfa": "I"}, "I"),
        ("ios", {"idfa": "00000000-0000-0000-0000-000000000000"}, None),
    ],
)
def test_the_advertising_id_is_that_of_the_platform(
    platform: str, fields: dict[str, object], expected: str | None
) -> None:
    assert macro_values(facts(platform=platform, **fields)).get("advertising_id") == expected


def test_an_advertising_id_is_also_known_by_its_platform_s_name() -> None:
    assert macro_values(facts(platform="android", advertising_id="A")).get("gaid") == "A"
    assert macro_values(facts(platform="android", advertising_id="A")).get("idfa") is None
    assert macro_values(facts(platform="ios", advertising_id="A")).get("idfa") == "A"


@pytest.mark.parametrize("name", ["idfa", "idfv", "android_id", "install_id", "app_set_id"])
def test_an_id_of_zeros_is_no_id(name: str) -> None:
    zeros = {name: "00000000-0000-0000-0000-000000000000"}

    assert name not in macro_values(facts(**zeros))


@pytest.mark.parametrize(
    "value",
    [
        "null",
        "undefined",
        "9774d56d682e549c",
        "guest",
        "(not set)",
        "0",
        "{gaid}",
        "[object Object]",
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        *("gaid", "idfa", "idfv", "android_id", "install_id", "app_set_id", "advertising_id"),
        *("customer_user_id", "oaid", "web_id", "mmp_device_id"),
    ],
)
def test_a_word_in_place_of_an_id_reaches_no_partner_nor_does_its_hash(
    name: str, value: str
) -> None:
    sent = {"install_id" if name == "mmp_device_id" else name: value}
    request = compile_request(
        RequestTemplate("GET", f"https://a.com/?a={{{{{name}}}}}&b={{{{{name}_sha1}}}}")
    )

    assert name not in macro_values(facts(platform="android", **sent))
    rendered = request.render(macro_values(facts(platform="android", **sent)))
    assert rendered.request.url == "https://a.com/?a=&b="


@pytest.mark.parametrize("value", ["$$CLICK_ID$$", "{clickid}", "unknown", "null"])
def test_a_click_id_that_an_older_click_never_had_reaches_no_partner(value: str) -> None:
    sent = replace(sample_facts(), attribution=AttributionFacts(click_id=value))

    assert "click_id" not in macro_values(sent)


def test_a_macro_that_an_older_click_holds_unfilled_reaches_no_partner() -> None:
    click = {"sub1": "{sub1}", "sub2": "b", "other": "%%OTHER%%"}
    values = macro_values(replace(sample_facts(), attribution=AttributionFacts(click=click)))

    assert (values.get("sub1"), values["sub2"], values["click"]) == (None, "b", {"sub2": "b"})


def test_net_revenue_is_gross_without_the_store_s_share() -> None:
    values = macro_values(sample_facts())

    assert values["revenue_usd_gross"] == Decimal("4.99")
    assert str(values["revenue_usd_net"]) == "3.493"


def test_another_currency_needs_a_rate_and_is_never_taken_as_dollars() -> None:
    assert macro_values(facts(currency="EUR")).get("revenue_usd_gross") is None
    assert macro_values(facts(currency="EUR")).get("revenue_usd_net") is None
    assert macro_values(facts(currency="UAH"), rates=Rates()).get("revenue_usd_gross") is None
    assert macro_values(facts(currency="EUR"), rates=Rates())["revenue_usd_gross"] == Decimal(
        "9.98"
    )


def test_without_consent_nothing_that_identifies_a_person_is_left() -> None:
    values = macro_values(sample_facts(), withhold_personal=True)

    assert not {name for name in values if CATALOGUE[name].personal}
    assert not {"params", "event_params_json", "click"} & set(values)
    assert values["revenue"] == Decimal("4.99")
    assert values["click_id"] == "c-7f3a91d2"
    assert "sub1" not in values


def test_a_withheld_value_does_not_come_back_by_another_name() -> None:
    request = compile_request(
        RequestTemplate("GET", "https://a.com/?a={{idfa_md5}}&b={{params.level}}&c={{click.sub1}}")
    )

    rendering = request.render(macro_values(sample_facts(), withhold_personal=True))

    assert rendering.request.url == "https://a.com/?a=&b=&c="


def test_a_rule_that_sends_no_revenue_sends_no_money_at_all() -> None:
    values = macro_values(sample_facts(), withhold_revenue=True)

    assert not {name for name in values if CATALOGUE[name].money}
    assert values["idfa"]


def test_parameters_are_sent_without_the_money_among_them() -> None:
    facts = sample_facts()
    params = {"level": 7, "revenue": "4.99", "price": 1}
    facts = replace(facts, event=replace(facts.event, params=params))

    values = macro_values(facts, withhold_revenue=True)

    assert values["params"] == {"level": 7}


def test_a_field_that_we_do_not_know_is_found_among_the_parameters() -> None:
    sample = sample_facts()
    with_city = replace(sample, event=replace(sample.event, params={"region": "BE"}))

    assert macro_values(with_city)["region"] == "BE"
    assert macro_values(with_city, withhold_personal=True).get("region") is None


def test_now_uuid_and_random_are_the_same_for_each_attempt_of_a_postback() -> None:
    names = ("now", "uuid", "random")
    sample = sample_facts()
    other = replace(sample, postback=PostbackFacts(UUID(int=1), datetime(2026, 1, 15, tzinfo=UTC)))

    first, again, another = (macro_values(facts) for facts in (sample, sample, other))

    assert [first[name] for name in names] == [again[name] for name in names]
    assert not any(first[name] == another[name] for name in names)


def test_a_postback_s_id_has_two_names() -> None:
    values = macro_values(sample_facts())

    assert values["postback_id"] == values["callback_id"] == "0198c1f0-6a10-7b21-8c44-51d9e0a7f3bb"


def test_the_partner_s_event_name_is_ours_unless_it_is_mapped() -> None:
    sample = sample_facts()
    postback = PostbackFacts(UUID(int=1), datetime(2026, 1, 15, tzinfo=UTC), "af_purchase")

    assert macro_values(sample)["partner_event_name"] == "purchase"
    assert macro_values(replace(sample, postback=postback))["partner_event_name"] == "af_purchase"


def test_a_limit_of_ad_tracking_is_also_a_number() -> None:
    assert macro_values(facts(limit_ad_tracking=True))["limit_ad_tracking_integer"] == 1
    assert macro_values(facts(limit_ad_tracking=False))["limit_ad_tracking_integer"] == 0
    assert macro_values(facts()).get("limit_ad_tracking_integer") is None


def test_a_price_is_that_of_one_piece() -> None:
    assert macro_values(facts(quantity=1))["price"] == Decimal("4.99")
    assert macro_values(facts(quantity=3)).get("price") is None
    assert macro_values(facts(quantity=3, price="1.50"))["price"] == Decimal("1.50")


def test_a_macro_without_a_value_is_not_in_the_mapping() -> None:
    values = macro_values(sample_facts())

    assert "gaid" not in values
    assert "no_such_macro" not in values
    with pytest.raises(KeyError):
        values["gaid"]


def test_a_parameter_of_the_click_has_a_name_of_its_own() -> None:
    assert macro_values(sample_facts())["sub1"] == "spring"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("203.0.113.77", "203.0.113.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("::ffff:222.1.41.90", "222.1.41.0"),
        ("::ffff:de01:295a", "222.1.41.0"),
        ("nonsense", None),
    ],
)
def test_an_anonymized_address_lacks_its_last_part(address: str, expected: str | None) -> None:
    assert macro_values(facts(ip_address=address)).get("ip_anonymized") == expected


@pytest.mark.parametrize(
    ("event_name", "name"),
    [
        ("reinstall", "reinstalled_time"),
        ("reattribution", "reattributed_time"),
        ("uninstall", "uninstalled_time"),
    ],
)
def test_an_event_of_its_own_tells_its_time(event_name: str, name: str) -> None:
    sample = sample_facts()
    own = replace(sample, event=replace(sample.event, event_name=event_name))

    assert macro_values(own)[name] == sample.event.event_time
    assert name not in macro_values(sample)


def test_an_install_is_attributed_to_the_partner_who_is_told_or_to_another() -> None:
    sample = sample_facts()
    when = datetime(2026, 1, 15, tzinfo=UTC)
    to_it = replace(sample, postback=PostbackFacts(UUID(int=1), when, partner="sample-network"))
    to_another = replace(sample, postback=PostbackFacts(UUID(int=1), when, partner="another"))

    assert macro_values(to_it)["is_attributed_to_destination"] is True
    assert macro_values(to_another)["is_attributed_to_destination"] is False


def test_sharing_with_third_parties_is_off_when_all_are_opted_out_of() -> None:
    assert macro_values(facts(sharing_opt_out=["all"]))["third_party_sharing"] is False
    assert macro_values(facts(sharing_opt_out=["X"]))["third_party_sharing"] is True
    assert "third_party_sharing" not in macro_values(facts())


def test_a_number_of_the_click_is_a_number() -> None:
    sample = sample_facts()
    attribution = replace(sample.attribution, click={"payout": "1.50", "cost_amount": "free"})

    values = macro_values(replace(sample, attribution=attribution))

    assert values["payout"] == Decimal("1.50")
    assert "cost_amount" not in values
