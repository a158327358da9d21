"""Every macro without a value says why."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from postbacks.callbacks.currency.conversion import DayRates
from postbacks.callbacks.empty_macros import EmptyMacro, empty_macros
from postbacks.callbacks.facts import Facts, sample_facts
from postbacks.callbacks.macros import CATALOGUE, BodyType, RequestTemplate, compile_request
from postbacks.callbacks.values import consent_evidence, consent_is_missing, macro_values
from postbacks.values.attribution import AttributionFacts

RATES = DayRates({"EUR": Decimal("1.10")})
REFUSED = "att_status is 2, denied"
SAMPLE = sample_facts()
ORGANIC = {"attribution": AttributionFacts()}
SEEN = {"attribution": replace(SAMPLE.attribution, type="impression", click={})}


def facts(
    fields: Mapping[str, object] | None = None,
    *,
    event: Mapping[str, Any] | None = None,
    **others: Any,
) -> Facts:
    changed = replace(SAMPLE.event, **{"fields": fields or {}, "params": {}, **(event or {})})
    return replace(SAMPLE, event=changed, **others)


def _empty(text: str, of: Facts, **options: Any) -> tuple[EmptyMacro, ...]:
    request = compile_request(
        RequestTemplate(url=f"https://ads.example.com/?a={text}"),
        credential_names=["key"],
        allowed_hosts=["ads.example.com"],
    )
    return empty_macros(request, of, **{"rates": RATES, **options})


@pytest.mark.parametrize(
    ("text", "of", "code", "words"),
    [
        ("{{idfa}}", facts(), "not_in_event", "the event has no idfa"),
        ("{{idfa_md5}}", facts(), "not_in_event", "the event has no idfa"),
        ("{{customer_user_id|sha256}}", facts(), "not_in_event", "no customer_user_id"),
        ("{{params.level}}", facts(), "not_in_event", "the event has no parameter level"),
        ("{{params.a.b}}", facts(event={"params": {"a": 1}}), "not_in_event", "parameter a.b"),
        ("{{params}}", facts(), "not_in_event", "no parameters of its own"),
        ("{{carrier}}", facts(), "not_in_event", "the event has no carrier"),
        ("{{tcf_string}}", facts(), "not_in_event", "the event has no tcf_string"),
        ("{{country}}", facts(), "not_in_event", "its IP address gave none"),
        ("{{ip_anonymized}}", facts(), "not_in_event", "the event has no ip_address"),
        ("{{revenue}}", facts(event={"revenue": None}), "not_in_event", "no revenue"),
        ("{{value}}", facts(event={"revenue": None}), "not_in_event", "no revenue"),
        ("{{revenue_usd}}", facts(event={"revenue": None}), "not_in_event", "no revenue"),
        ("{{revenue_usd_net}}", facts(event={"currency": None}), "not_in_event", "no currency"),
        (
            "{{idfa}}",
            facts({"idfa": "00000000-0000-0000-0000-000000000000"}),
            "no_id",
            "is what devices and programs send instead",
        ),
        (
            "{{idfa}}",
            facts({"left_out_ids": {"idfa": "None"}}),
            "no_id",
            "idfa is no ID: “None” is",
        ),
        ("{{idfa_md5}}", facts({"left_out_ids": {"idfa": "0000"}}), "no_id", "idfa is no ID"),
        (
            "{{advertising_id}}",
            facts({"left_out_ids": {"idfa": "${IDFA}"}}),
            "no_id",
            "idfa is no ID: “${IDFA}” is a macro that was not filled in",
        ),
        ("{{gaid}}", facts({"left_out_ids": {"gaid": "null"}}), "no_id", "gaid is no ID: “null”"),
        (
            "{{gaid}}",
            facts({"left_out_ids": {"advertising_id": "nil"}}, event={"platform": "android"}),
            "no_id",
            "advertising_id is no ID",
        ),
        ("{{idfa}}", facts({"left_out_ids": {"advertising_id": "nil"}}), "no_id", "is no ID"),
        ("{{gaid_sha1}}", facts({"left_out_ids": {"gaid": "null"}}), "no_id", "gaid is no ID"),
        ("{{gaid}}", facts({"left_out_ids": {"idfa": "null"}}), "unknown_to_platform", "iOS"),
        ("{{android_id}}", facts({"left_out_ids": {"android_id": "nil"}}), "no_id", "“nil”"),
        (
            "{{idfv}}",
            facts({"left_out_ids": {"idfv": "nil"}}, event={"platform": "android"}),
            "no_id",
            "idfv is no ID",
        ),
        ("{{idfv}}", facts({"left_out_ids": {"idfa": "None"}}), "not_in_event", "has no idfv"),
        ("{{mmp_device_id}}", facts({"left_out_ids": {"install_id": "x" * 9}}), "not_in_event", ""),
        ("{{advertising_id}}", facts({"idfa": "0000-0000"}), "no_id", "the event's idfa is no ID"),
        (
            "{{gaid}}",
            facts(),
            "unknown_to_platform",
            "unknown to iOS: only Android, Amazon and TV",
        ),
        ("{{android_id}}", facts(), "unknown_to_platform", "iOS"),
        ("{{install_referrer}}", facts(), "unknown_to_platform", "only Android and TV"),
        ("{{idfv}}", facts(event={"platform": "android"}), "unknown_to_platform", "Android"),
        ("{{att_status}}", facts(event={"platform": "android"}), "unknown_to_platform", "iOS"),
        ("{{wbraid}}", facts(event={"platform": "android"}, **ORGANIC), "unknown_to_platform", ""),
        ("{{click_id}}", facts(**ORGANIC), "no_click", "the install is organic"),
        ("{{campaign_name}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{click.sub1}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{click}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{sub2}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{engaged_at_ms}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{payout}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{match_type}}", facts(**ORGANIC), "no_click", "organic"),
        ("{{site_id}}", facts(install=None, **ORGANIC), "no_click", "no install of this device"),
        ("{{click_time}}", facts(**SEEN), "no_click", "an impression earned the install"),
        ("{{impression_time}}", facts(), "no_impression", "a click earned the install"),
        ("{{click.sub9}}", facts(), "not_in_click", "has no parameter sub9"),
        ("{{keyword}}", facts(), "not_in_click", "has no keyword"),
        ("{{gclid}}", facts(), "not_in_click", "has no gclid"),
        ("{{acquired_at}}", facts(install=None), "no_install", "no install of this device"),
        ("{{install_time|unix}}", facts(install=None), "no_install", "no install of this device"),
        ("{{reattributed_at}}", facts(), "not_of_this_event", "has not come back through an ad"),
        ("{{reinstalled_time}}", facts(), "not_of_this_event", "has not come back without an ad"),
        ("{{uninstalled_time}}", facts(), "not_of_this_event", "uninstall"),
        ("{{previous_ad_network}}", facts(), "not_of_this_event", "attribution_updated"),
        ("{{reject_reason}}", facts(), "not_of_this_event", "rejected_install"),
        ("{{skan_conversion_value}}", facts(), "not_of_this_event", "skan_postback"),
        ("{{contributor1_ad_network}}", facts(), "not_in_event", "no contributor1_ad_network"),
        (
            "{{revenue_usd}}",
            facts(event={"currency": "UAH"}),
            "no_rate",
            "no exchange rate of UAH is known from the 7 days up to Jan 14, 2026",
        ),
        ("{{revenue_usd_cents}}", facts(event={"currency": "UAH"}), "no_rate", "UAH"),
        ('{{revenue|convert:"GBP"}}', facts(), "no_rate", 'convert:"GBP"'),
        ('{{revenue|convert:"EUR"|cents}}', facts(event={"currency": "UAH"}), "no_rate", "UAH"),
        ('{{revenue|convert:"EUR"}}', facts(event={"currency": None}), "not_in_event", "currency"),
        ('{{platform|map:"android=1"}}', facts(), "no_form", 'map:"android=1" has nothing for ios'),
        ("{{event_name|cents}}", facts(), "no_form", "cents has nothing for purchase"),
        ('{{event_name|date:"%Y"}}', facts(), "no_form", "nothing for purchase"),
        ("{{price}}", facts({"price": "much", "quantity": 2}), "no_form", "is not a number"),
        (
            "{{install_begin_time}}",
            facts({"install_begin_time": "x"}, event={"platform": "android"}),
            "no_form",
            "is not a time",
        ),
    ],
)
def test_a_macro_without_a_value_says_why(text: str, of: Facts, code: str, words: str) -> None:
    (macro,) = _empty(text, of)

    assert macro.code == code
    assert words in macro.detail
    assert macro.detail.startswith("{{" + macro.macro + "}} has no value: ")
    assert macro.detail.endswith(".")


@pytest.mark.parametrize(
    ("text", "fields", "event"),
    [
        ("{{idfa}}", {"idfa": "A"}, {}),
        ("{{idfa|md5}}", {"idfa": "A"}, {}),
        ("{{advertising_id_sha1}}", {"idfa": "A"}, {}),
        ("{{ip_address}}", {"ip_address": "203.0.113.7"}, {}),
        ("{{params.mail}}", {}, {"params": {"mail": "a@example.com"}}),
        ("{{event_params_json}}", {}, {"params": {"mail": "a@example.com"}}),
        ("{{click.sub1}}", {}, {}),
        ("{{sub1}}", {}, {}),
        ("{{city}}", {"city": "Berlin"}, {}),
    ],
)
def test_what_was_removed_without_consent_says_so_and_on_what_evidence(
    text: str, fields: dict[str, object], event: dict[str, object]
) -> None:
    (macro,) = _empty(text, facts(fields, event=event), consent_refusal=REFUSED)

    assert macro.code == "no_consent"
    assert "the person did not consent (att_status is 2, denied)" in macro.detail


def test_what_is_missing_anyway_says_that_it_would_have_been_removed() -> None:
    (macro,) = _empty("{{idfa}}", facts(), consent_refusal=REFUSED)

    assert macro.code == "not_in_event"
    assert macro.detail == (
        "{{idfa}} has no value: the event has no idfa. It would have been removed, since the "
        "person did not consent (att_status is 2, denied)."
    )


@pytest.mark.parametrize(
    ("text", "event"),
    [
        ("{{revenue}}", {}),
        ("{{currency}}", {}),
        ("{{revenue_usd|cents}}", {}),
        ("{{value}}", {}),
        ("{{params.revenue}}", {"params": {"revenue": 5}}),
    ],
)
def test_revenue_that_the_rule_keeps_back_says_so(text: str, event: dict[str, object]) -> None:
    (macro,) = _empty(text, facts(event=event), sends_revenue=False)

    assert macro.code == "revenue_not_sent"
    assert "the rule does not send revenue" in macro.detail


@pytest.mark.parametrize(
    "text",
    [
        "{{event_name}}",
        "{{idfa||'none'}}",
        "{{idfa||event_name}}",
        '{{idfa|default:"x"}}',
        "{{credential.key}}",
        "{{idfa||credential.key}}",
        "{{is_organic}}",
        "{{postback_id}}",
    ],
)
def test_a_macro_with_a_value_a_default_or_a_secret_is_not_named(text: str) -> None:
    assert _empty(text, facts()) == ()


def test_each_name_of_a_chain_says_why_and_each_is_named_once() -> None:
    macros = _empty("{{gaid||idfa}}&b={{idfa}}&c={{idfa!}}", facts())

    assert [(macro.macro, macro.code) for macro in macros] == [
        ("gaid", "unknown_to_platform"),
        ("idfa", "not_in_event"),
    ]


def test_bodies_and_headers_count_like_the_url() -> None:
    request = compile_request(
        RequestTemplate(
            method="POST",
            url="https://ads.example.com/",
            headers={"X-Site": "{{site_id}}"},
            body_type=BodyType.JSON,
            body='{"idfa": {{idfa}}, "name": "{{event_name}}"}',
        )
    )

    macros = empty_macros(request, facts(**ORGANIC), rates=None)

    assert {macro.macro for macro in macros} == {"idfa", "site_id"}


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_macro_of_the_catalogue_has_an_answer(name: str) -> None:
    bare = {"revenue": None, "currency": None, "platform": None, "bundle_id": None}
    nothing = replace(
        facts(event=bare), install=None, postback=None, attribution=AttributionFacts()
    )
    app = replace(SAMPLE.app, platform="", store_id="")

    macros = _empty(f"{{{{{name}}}}}", replace(nothing, app=app), rates=None)

    has_value = name in macro_values(replace(nothing, app=app))
    assert [macro.macro for macro in macros] == ([] if has_value else [name])


@pytest.mark.parametrize(
    ("fields", "evidence"),
    [
        ({}, ""),
        ({"limit_ad_tracking": False, "att_status": 3, "us_privacy": "1YNN"}, ""),
        ({"eea": True, "ad_user_data": True}, ""),
        ({"limit_ad_tracking": True}, "limit_ad_tracking is true"),
        ({"att_status": 1}, "att_status is 1, restricted"),
        ({"att_status": 2}, "att_status is 2, denied"),
        ({"us_privacy": "1YYN"}, "us_privacy is 1YYN, opted out of sale"),
        ({"sharing_opt_out": ["lumen_ads"]}, "sharing_opt_out names this partner"),
        ({"sharing_opt_out": ["all"]}, "sharing_opt_out names all partners"),
        ({"eea": True}, "eea is true without ad_user_data"),
        (
            {"gdpr_applies": True, "ad_user_data": False},
            "gdpr_applies is true without ad_user_data",
        ),
    ],
)
def test_the_evidence_of_missing_consent_is_named(fields: dict[str, object], evidence: str) -> None:
    partner = ("Lumen Ads", "0198c1f0")

    assert consent_evidence(fields, partner=partner) == evidence
    assert consent_is_missing(fields, partner=partner) is bool(evidence)


def test_a_time_is_told_in_utc() -> None:
    late = datetime(2026, 1, 14, 23, 30, tzinfo=UTC)

    (macro,) = _empty(
        "{{revenue_usd}}", facts(event={"currency": "UAH", "event_time": late}), rates=None
    )

    assert "Jan 14, 2026" in macro.detail
