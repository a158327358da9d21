"""What a template becomes: one place of the request after the other."""

import json
import tracemalloc
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from postbacks.callbacks.macros import (
    BodyType,
    MissingValues,
    RenderError,
    RequestTemplate,
    Value,
    compile_request,
)
from postbacks.values.outgoing_request import Rendering

HOST = "https://ads.example.com"


def render(
    url: str = f"{HOST}/",
    *,
    body: str = "",
    body_type: BodyType = BodyType.NONE,
    headers: dict[str, str] | None = None,
    missing: MissingValues = MissingValues.EMPTY,
    **values: Value,
) -> Rendering:
    method = "GET" if body_type is BodyType.NONE else "POST"
    template = RequestTemplate(method, url, headers or {}, body_type, body, missing)
    return compile_request(template).render(values)


def rendered_json(body: str, **values: Value) -> object:
    request = render(body=body, body_type=BodyType.JSON, **values).request
    assert request.body is not None
    return json.loads(request.body, parse_float=Decimal)


def test_a_value_is_percent_encoded_in_path_and_query() -> None:
    request = render(
        f"{HOST}/e/{{{{event_name}}}}?n={{{{event_name}}}}", event_name="a b/c&d=é"
    ).request

    assert request.url == f"{HOST}/e/a%20b%2Fc%26d%3D%C3%A9?n=a%20b%2Fc%26d%3D%C3%A9"


def test_a_value_that_looks_like_a_macro_is_sent_as_it_is() -> None:
    request = render(f"{HOST}/?n={{{{event_name}}}}", event_name="{{idfa}}", idfa="secret").request

    assert request.url == f"{HOST}/?n=%7B%7Bidfa%7D%7D"


def test_single_braces_belong_to_the_network_and_stay() -> None:
    assert render(f"{HOST}/?a={{idfa}}&b=__IP__").request.url == f"{HOST}/?a={{idfa}}&b=__IP__"


def test_the_template_s_own_text_keeps_its_encoding_and_gains_what_it_lacks() -> None:
    assert render(f"{HOST}/a%20b?q=x y&t=é+1").request.url == f"{HOST}/a%20b?q=x%20y&t=%C3%A9+1"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"idfa": "A", "gaid": "B"}, "A"),
        ({"idfa": "", "gaid": "B"}, "B"),
        ({"idfa": None}, "none"),
        ({}, "none"),
    ],
)
def test_the_first_source_with_a_value_is_sent(values: dict[str, Value], expected: str) -> None:
    request = render(HOST + "/?id={{idfa||gaid||'none'}}", **values).request

    assert request.url == f"{HOST}/?id={expected}"


def test_zero_and_false_are_values() -> None:
    url = HOST + "/?q={{quantity||'none'}}&l={{limit_ad_tracking||'none'}}"

    assert render(url, quantity=0, limit_ad_tracking=False).request.url == f"{HOST}/?q=0&l=false"


def test_spaces_within_a_macro_mean_nothing() -> None:
    url = HOST + "/?id={{ idfa || 'x' | upper | truncate : 3 ! }}"

    assert render(url, idfa="abcdef").request.url == f"{HOST}/?id=ABC"


def test_dots_lead_into_objects_and_lists() -> None:
    url = HOST + "/?a={{params.items.1.sku}}&b={{params.a.b}}&c={{params.items.9.sku||'no'}}"
    params = {"items": [{"sku": "x"}, {"sku": "y"}], "a.b": "dotted"}

    assert render(url, params=params).request.url == f"{HOST}/?a=y&b=dotted&c=no"


def test_a_parameter_of_the_click_url_is_a_macro() -> None:
    assert render(HOST + "/?s={{click.sub1}}", click={"sub1": "s"}).request.url == f"{HOST}/?s=s"


def test_times_are_unix_seconds_and_money_never_has_an_exponent() -> None:
    url = HOST + "/?t={{event_time}}&m={{event_time_ms}}&r={{revenue}}&v={{value}}"
    time = datetime(2026, 1, 1, 0, 0, 0, 250_000, tzinfo=UTC)

    request = render(url, event_time=time, revenue=Decimal("1E+3"), value=Decimal("1E-9")).request

    assert request.url == f"{HOST}/?t=1767225600&m=1767225600250&r=1000&v=0.000000001"


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1E+999999", "1E-999999"])
def test_a_number_that_cannot_be_written_out_is_no_value(number: str) -> None:
    rendering = render(HOST + "/?r={{revenue||'none'}}", revenue=Decimal(number))

    assert rendering.request.url == f"{HOST}/?r=none"


def test_a_missing_value_leaves_its_parameter_empty() -> None:
    rendering = render(HOST + "/?a={{idfa}}&b={{gaid}}&c=1", gaid="g")

    assert rendering.request.url == f"{HOST}/?a=&b=g&c=1"
    assert rendering.missing == ("idfa",)


def test_a_parameter_of_nothing_but_missing_values_can_be_dropped() -> None:
    url = HOST + "/p?a={{idfa}}&b={{idfa}}{{gaid}}&c=x{{idfa}}&d={{idfa}}{{country}}&e="

    request = render(url, missing=MissingValues.DROP, country="DE").request

    assert request.url == f"{HOST}/p?c=x&d=DE&e="


def test_without_any_parameter_left_there_is_no_question_mark() -> None:
    assert render(HOST + "/p?a={{idfa}}", missing=MissingValues.DROP).request.url == f"{HOST}/p"


def test_a_form_may_be_written_on_lines() -> None:
    body = "a={{event_name}}\nb=x y&c={{idfa}}\n"

    request = render(body=body, body_type=BodyType.FORM, event_name="a&b=c +").request

    assert request.body == b"a=a%26b%3Dc%20%2B&b=x%20y&c="
    assert request.headers == {"Content-Type": "application/x-www-form-urlencoded"}


def test_an_unquoted_macro_is_json_of_its_own_type() -> None:
    body = """{"r": {{revenue}}, "b": {{is_organic}}, "n": {{event_name}}, "m": {{idfa}},
               "p": {{params}}, "t": {{event_time}}, "l": [{{quantity}}, 1.50, "x"]}"""

    sent = rendered_json(
        body,
        revenue=Decimal("4.990"),
        is_organic=False,
        event_name='say "hi"',
        params={"a": [Decimal("0.10"), None, {"b": True}]},
        event_time=datetime(2026, 1, 1, tzinfo=UTC),
        quantity=3,
    )

    assert sent == {
        "r": Decimal("4.990"),
        "b": False,
        "n": 'say "hi"',
        "m": None,
        "p": {"a": [Decimal("0.10"), None, {"b": True}]},
        "t": 1767225600,
        "l": [3, Decimal("1.50"), "x"],
    }


def test_a_macro_in_a_json_string_is_escaped() -> None:
    sent = rendered_json('{"n": "<{{event_name}}>"}', event_name='","x":"\\\n')

    assert sent == {"n": '<","x":"\\\n>'}


def test_a_json_member_of_nothing_but_missing_values_can_be_dropped() -> None:
    body = (
        '{"a": {{idfa}}, "b": "{{idfa}}{{gaid}}", "c": "x{{idfa}}", "d": {"e": {{idfa}}}, '
        '"f": [{{idfa}}], "g": "", "h": {"i": {{country}}, "j": "{{idfa}}"}}'
    )

    request = render(
        body=body, body_type=BodyType.JSON, missing=MissingValues.DROP, country="DE"
    ).request

    assert request.body == b'{"c":"x","d":{},"f":[null],"g":"","h":{"i":"DE"}}'


def test_the_json_filter_puts_an_object_into_a_string() -> None:
    sent = rendered_json('{"s": "{{params|json}}", "o": {{params|json}}}', params={"a": 1})

    assert sent == {"s": '{"a":1}', "o": {"a": 1}}


def test_a_raw_body_is_sent_as_it_is() -> None:
    request = render(
        body="<e n='{{event_name}}'/>", body_type=BodyType.RAW, event_name="é&"
    ).request

    assert request.body == "<e n='é&'/>".encode()
    assert request.headers == {}


def test_a_content_type_of_the_rule_is_kept() -> None:
    headers = {"content-type": "application/vnd.api+json"}

    assert render(body="{}", body_type=BodyType.JSON, headers=headers).request.headers == headers


def test_a_header_loses_line_breaks_and_keeps_to_latin_1() -> None:
    request = render(headers={"X-Name": "n={{app_name}}"}, app_name="a\r\nX-Evil: 1é Ї\x85").request

    assert request.headers == {"X-Name": "n=aX-Evil: 1%C3%A9 %D0%87"}


def test_a_header_of_nothing_but_missing_values_can_be_dropped() -> None:
    headers = {"X-A": "{{idfa}}", "X-B": "v {{idfa}}", "X-C": "{{country}}"}

    request = render(headers=headers, missing=MissingValues.DROP, country="DE").request

    assert request.headers == {"X-B": "v", "X-C": "DE"}


@pytest.mark.parametrize("segment", [".", ".."])
def test_a_value_can_not_climb_in_the_path(segment: str) -> None:
    with pytest.raises(RenderError, match="path_changed"):
        render(HOST + "/a/{{event_name}}/b", event_name=segment)


@pytest.mark.parametrize(
    ("segment", "sent"), [("%2e%2E", "%252e%252E"), ("/../", "%2F..%2F"), ("..%2f", "..%252f")]
)
def test_a_value_that_only_resembles_a_dot_segment_is_encoded(segment: str, sent: str) -> None:
    request = render(HOST + "/a/{{event_name}}/b", event_name=segment).request

    assert request.url == f"{HOST}/a/{sent}/b"


def test_dots_around_a_value_can_not_become_a_dot_segment() -> None:
    with pytest.raises(RenderError, match="path_changed"):
        render(HOST + "/a/.{{event_name}}/b", event_name=".")


def test_a_url_that_grows_too_long_is_not_sent() -> None:
    with pytest.raises(RenderError, match="too_large"):
        render(HOST + "/?n={{event_name}}", event_name="x" * 8_192)


DEVICE = {"User-Agent": "{{user_agent}}", "X-Forwarded-For": "{{ip_address}}"}


def test_headers_can_tell_of_the_device() -> None:
    request = render(
        headers=DEVICE, user_agent="GemHarbor/4.2 (iPhone)", ip_address="203.0.113.7"
    ).request

    assert request.headers == {
        "User-Agent": "GemHarbor/4.2 (iPhone)",
        "X-Forwarded-For": "203.0.113.7",
    }


@pytest.mark.parametrize("missing", MissingValues)
@pytest.mark.parametrize("nothing", [None, "", " \r\n "])
def test_a_header_of_the_device_is_left_out_rather_than_empty(
    missing: MissingValues, nothing: str | None
) -> None:
    rendering = render(headers=DEVICE, missing=missing, user_agent=nothing, ip_address=nothing)

    assert rendering.request.headers == rendering.redacted.headers == {}


def test_a_device_can_write_no_header_of_its_own() -> None:
    evil = "x\r\nIdempotency-Key: 1\r\nHost: 10.0.0.1"

    request = render(headers=DEVICE, user_agent=evil, ip_address=evil).request

    assert set(request.headers.values()) == {"xIdempotency-Key: 1Host: 10.0.0.1"}


def test_a_header_that_grows_too_long_is_not_sent() -> None:
    with pytest.raises(RenderError, match="too_large"):
        render(headers={"X-A": "{{event_name}}"}, event_name="x" * 4_097)


def test_a_body_that_grows_too_long_is_not_sent() -> None:
    with pytest.raises(RenderError, match="too_large"):
        render(body="{{event_name}}" * 40, body_type=BodyType.RAW, event_name="x" * 30_000)


_LONG_TEXT = "".join(chr(32 + n % 90) for n in range(31_000))
_BOMBS = {
    "text": _LONG_TEXT,
    "wide": "\U0001f600" * 7_500,
    "controls": "\x01" * 31_000,
    "object": {"a": [{f"k{n}": "\x01\U0001f600"} for n in range(400)]},
}


def _sizes_or_code(part: dict[str, Any], value: Value) -> str:
    try:
        request = render(**part, params={"p": value}).request
    except RenderError as error:
        return error.code
    fits = len(request.url) <= 8_192 and len(request.body or b"") <= 1_048_576
    return "fits" if fits else "grew"


@pytest.mark.parametrize(
    ("bomb", "filters"),
    [
        ("text", ""),
        ("wide", ""),
        ("object", "|upper"),
        ("controls", "|sha256|base64"),
        ("text", "|base64" * 16),
        ("wide", "|urlencode" * 16),
        ("controls", "|json" * 16),
        ("text", "|nohyphen" * 16),
        ("text", '|map:"a=b"|default:"' + "c" * 250 + '"|urlencode|base64'),
    ],
)
def test_a_request_is_refused_before_it_is_too_large(bomb, filters) -> None:
    macro = f"{{{{params.p{filters}}}}}"
    many = [macro] * min(190, 8_000 // (len(macro) + 5))
    parts: tuple[dict[str, Any], ...] = (
        {"url": f"{HOST}/?" + "&".join(f"k{n}={macro}" for n, macro in enumerate(many))},
        {"url": f"{HOST}/" + "/".join(many)},
        {"headers": {f"X-{n}": "".join(many[n * 9 : n * 9 + 9]) for n in range(20)}},
        {"body": "&".join(f"k={macro}" for macro in many), "body_type": BodyType.FORM},
        {"body": "".join(many), "body_type": BodyType.RAW},
        {"body": f"[{','.join(many)}]", "body_type": BodyType.JSON},
        {"body": f'{{"a": "{"".join(many)}"}}', "body_type": BodyType.JSON},
        {
            "body": "{" + ",".join(f'"k{n}": {macro}' for n, macro in enumerate(many)) + "}",
            "body_type": BodyType.JSON,
            "missing": MissingValues.DROP,
        },
    )
    tracemalloc.start()
    try:
        for part in parts:
            assert _sizes_or_code(part, _BOMBS[bomb]) in ("too_large", "fits")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 24 * 1024 * 1024


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            {"url": f"{HOST}/?" + "&".join(["a={{params.p}}"] * 9)},
            "The URL would be longer than 8,192",
        ),
        ({"url": f"{HOST}/" + "{{params.p}}" * 9}, "The URL would be longer than 8,192"),
        ({"headers": {"X-A": "{{params.p}}"}}, "The header X-A would be longer than 4,096"),
        (
            {"body": "{{params.p}}" * 40, "body_type": BodyType.RAW},
            "The body would be longer than 1,048,576",
        ),
        (
            {"body": "{{params.p" + "|base64" * 16 + "}}", "body_type": BodyType.RAW},
            "A macro's value would be longer than 262,144",
        ),
        (
            {"body": "{{params.p|upper|md5}}" * 100, "body_type": BodyType.RAW},
            "The texts that the filters of this request write would be longer than 2,097,152",
        ),
    ],
)
def test_what_is_too_large_is_named_with_its_limit(part, words) -> None:
    with pytest.raises(RenderError) as refused:
        render(**part, params={"p": _LONG_TEXT})

    assert refused.value.code == "too_large"
    assert refused.value.detail.startswith(words)


def test_a_required_macro_that_is_too_large_is_not_missing() -> None:
    template = RequestTemplate("GET", f"{HOST}/?a={{{{params.p{'|base64' * 16}!}}}}")

    assert compile_request(template).missing_required({"params": {"p": _LONG_TEXT}}) is None


def test_raw_leaves_the_encoding_out() -> None:
    url = HOST + "/?q={{params.q|raw}}"

    assert render(url, params={"q": "a%20b:c,é"}).request.url == f"{HOST}/?q=a%20b:c,%C3%A9"


@pytest.mark.parametrize("value", ["a&b=1", "a#b", "a b", "a\r\nb", "a\\b", "a\x00"])
def test_raw_can_not_change_the_query(value: str) -> None:
    with pytest.raises(RenderError, match="raw_changed_request"):
        render(HOST + "/?q={{params.q|raw}}", params={"q": value})


@pytest.mark.parametrize("value", ["a/b", "a?b", "a#b", "//x", "a&b"])
def test_raw_can_not_change_the_path(value: str) -> None:
    with pytest.raises(RenderError, match="raw_changed_request"):
        render(HOST + "/{{params.q|raw}}", params={"q": value})


@pytest.mark.parametrize("segment", ["..", "%2e%2E", "."])
def test_raw_can_not_climb_in_the_path(segment: str) -> None:
    with pytest.raises(RenderError, match="path_changed"):
        render(HOST + "/a/{{params.q|raw}}", params={"q": segment})


@pytest.mark.parametrize("value", ["a\r\nX: 1", "\u0407", "\x7f"])
def test_raw_can_not_break_out_of_a_header(value: str) -> None:
    with pytest.raises(RenderError, match="raw_changed_request"):
        render(headers={"X-A": "{{params.q|raw}}"}, params={"q": value})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        ('{"a": "{{params.q|raw}}"}', '","b":"'),
        ('{"a": {{params.q|raw}}}', '1,"b":2'),
        ('{"a": {{params.q|raw}}}', "NaN"),
        ('{"a": {{params.q|raw}}}', "[" * 100_000),
    ],
)
def test_raw_can_not_change_a_json_body(body: str, value: str) -> None:
    with pytest.raises(RenderError, match="raw_changed_request"):
        rendered_json(body, params={"q": value})


def test_raw_json_is_taken_over() -> None:
    body = '{"a": {{params.q|raw}}, "b": "{{params.s|raw}}", "c": {{params.none|raw}}}'

    sent = rendered_json(body, params={"q": '{"x": [1]}', "s": "a\\nb"})

    assert sent == {"a": {"x": [1]}, "b": "a\nb", "c": None}


def test_the_first_required_macro_without_a_value_is_named() -> None:
    url = HOST + "/?a={{event_name!}}&b={{idfa|lower!}}&c={{gaid!}}&d={{country}}"
    request = compile_request(RequestTemplate("GET", url))

    assert request.missing_required({"event_name": "e", "gaid": "g"}) == "idfa"
    assert request.missing_required({"event_name": "e", "idfa": "i", "gaid": "g"}) is None


def test_a_default_fills_a_required_macro() -> None:
    url = HOST + "/?a={{idfa||'x'!}}&b={{idfa|default:\"x\"!}}"

    assert compile_request(RequestTemplate("GET", url)).missing_required({}) is None


def test_a_compiled_request_names_its_macros_without_their_endings() -> None:
    url = (
        HOST + "/{{idfa_sha256||gaid|md5}}?l={{params.level}}&t={{time_in_ms}}&u={{country_lower}}"
    )

    request = compile_request(RequestTemplate("GET", url))

    assert request.macros == {"idfa", "gaid", "params.level", "time_in_ms", "country"}
    assert request.host == "ads.example.com"
