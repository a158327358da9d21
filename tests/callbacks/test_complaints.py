"""What users of other systems complained of in public, each as a test of ours.

Money, encoding, times and identifiers of the requests that leave; the numbers are those of the list
of complaints.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from urllib.parse import parse_qsl, urlsplit

import pytest

from postbacks.callbacks.facts import Facts, sample_facts
from postbacks.callbacks.macros import BodyType, RequestTemplate, Value, compile_request
from postbacks.callbacks.partner_templates import all_templates
from postbacks.callbacks.values import macro_values
from tests.callbacks.template_requests import compiled, definition_of, event_of, facts_for

TEMPLATES = all_templates()


def _url(values: Mapping[str, Value], query: str) -> str:
    return (
        compile_request(RequestTemplate(url=f"https://a.com/?{query}")).render(values).request.url
    )


def _json(values: Mapping[str, Value], body: str) -> str:
    template = RequestTemplate("POST", "https://a.com/", {}, BodyType.JSON, body)
    return (compile_request(template).render(values).request.body or b"").decode()


def _sent(name: str, event: str, number: int = 0, **fields: object) -> tuple[str, str]:
    """Return URL and body of a template's rule for the sample person."""
    template = TEMPLATES[name]
    definition = definition_of(template, template.rules[number], event)
    credentials = {credential.name: credential.name for credential in template.credentials}
    facts = facts_for(definition, event, **fields)
    request = compiled(template, definition).render(macro_values(facts), credentials=credentials)
    return request.request.url, (request.request.body or b"").decode()


@pytest.mark.parametrize(
    ("amount", "cents"), [("19.99", "1999"), ("1.15", "115"), ("4.35", "435"), ("0.29", "29")]
)
def test_1_money_is_never_a_float(amount: str, cents: str) -> None:
    values: dict[str, Value] = {"revenue": Decimal(amount), "currency": "USD"}

    assert _url(values, "v={{revenue|cents}}").endswith(f"v={cents}")
    assert _json(values, '{"v": {{revenue}}}') == f'{{"v":{amount}}}'


def test_4_a_value_is_a_number_or_a_text_as_the_partner_wants_it() -> None:
    values: dict[str, Value] = {"revenue": Decimal("4.99")}

    assert json.loads(_json(values, '{"a": "{{revenue}}", "b": {{revenue}}}')) == {
        "a": "4.99",
        "b": 4.99,
    }


@pytest.mark.parametrize(
    "text", ["a b&c=d é", "+49 170", "x&admin=1#f", "100%25", "{{idfa}}", "a/b?c", "%2B+%20"]
)
def test_5_to_7_a_value_is_encoded_once_and_adds_no_parameter(text: str) -> None:
    values: dict[str, Value] = {"app_name": text, "platform": "ios", "idfa": "never"}

    url = _url(values, 'v={{app_name}}&w={{platform|map:"ios=a b+c"}}')

    assert parse_qsl(urlsplit(url).query) == [("v", text), ("w", "a b+c")]
    assert not urlsplit(url).fragment
    assert "+" not in urlsplit(url).query


def test_8_a_click_s_callback_address_comes_back_whole() -> None:
    callback = "https://net.example/cb?a=1&b=%2B%20c#d"
    values: dict[str, Value] = {"click": {"callback": callback}}

    assert dict(parse_qsl(urlsplit(_url(values, "u={{click.callback}}")).query)) == {"u": callback}


def test_9_a_long_click_id_and_a_long_number_come_back_byte_for_byte() -> None:
    click_id = ("aZ09%2B/=+" * 103)[:1_024]
    values: dict[str, Value] = {"click_id": click_id, "params": {"id": "1234567890123456789"}}

    assert dict(parse_qsl(urlsplit(_url(values, "c={{click_id}}")).query)) == {"c": click_id}
    assert _json(values, '{"c": "{{click_id}}", "n": {{params.id|int}}}') == (
        json.dumps({"c": click_id}, separators=(",", ":"))[:-1] + ',"n":1234567890123456789}'
    )


def test_10_click_ids_leave_unchanged_while_other_ids_are_hashed() -> None:
    _, body = _sent("reddit", "purchase")

    event = json.loads(body)["data"]["events"][0]
    assert event["click_id"] == "c-7f3a91d2"
    assert event["user"]["external_id"] == hashlib.sha256(b"user-1047").hexdigest()


@pytest.mark.parametrize(
    ("name", "path", "digits"),
    [
        ("meta", ("data", 0, "event_time"), 10),
        ("tiktok", ("data", 0, "event_time"), 10),
        ("snap", ("data", 0, "event_time"), 10),
        ("reddit", ("data", "events", 0, "event_at"), 13),
    ],
)
def test_13_each_partner_gets_times_in_its_unit(
    name: str, path: tuple[str | int, ...], digits: int
) -> None:
    _, body = _sent(name, event_of(TEMPLATES[name].rules[0]))

    time = json.loads(body)
    for step in path:
        time = time[step]

    assert len(str(time)) == digits


@pytest.mark.parametrize("missing", [(), ("app_version", "device_model", "carrier", "timezone")])
def test_18_and_19_meta_gets_its_flag_and_sixteen_values(missing: tuple[str, ...]) -> None:
    _, body = _sent("meta", "purchase", **dict.fromkeys((*missing, "locale", "language")))

    app_data = json.loads(body)["data"][0]["app_data"]
    assert app_data["advertiser_tracking_enabled"] in (0, 1)
    assert len(app_data["extinfo"]) == 16
    assert all(isinstance(value, str) for value in app_data["extinfo"])


def test_26_a_store_s_number_has_the_letters_id_at_appsflyer_only() -> None:
    asked = {question.name: question for question in TEMPLATES["appsflyer"].credentials}
    _, body = _sent("tiktok", event_of(TEMPLATES["tiktok"].rules[0]))

    assert asked["app_id"].example.startswith("id")
    assert json.loads(body)["data"][0]["app"]["app_id"] == "1234567890"


def test_an_event_s_name_keeps_its_letters() -> None:
    sample = sample_facts()
    facts: Facts = replace(sample, event=replace(sample.event, event_name="Level_Up"))

    assert _url(macro_values(facts), "e={{event_name}}").endswith("e=Level_Up")
