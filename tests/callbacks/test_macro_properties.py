"""What holds for any value whatsoever."""

import json
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from urllib.parse import parse_qsl, unquote, urlsplit

from hypothesis import assume, example, given
from hypothesis import strategies as st

from postbacks.callbacks.facts import sample_facts
from postbacks.callbacks.macros import (
    BodyType,
    MissingValues,
    RenderError,
    RequestTemplate,
    compile_request,
)
from postbacks.callbacks.macros.catalogue import CATALOGUE
from postbacks.callbacks.values import consent_evidence, consent_is_missing, macro_values

TEXT = st.text(min_size=1, max_size=40) | st.lists(
    st.sampled_from(
        ["/", "..", ".", "%2e", "\r\n", "{{idfa}}", "&", "=", "#", "?", "@", ":", "\\", "a"]
    ),
    min_size=1,
    max_size=8,
).map("".join)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.decimals(
        allow_nan=False, allow_infinity=False, places=4, min_value=-(10**9), max_value=10**9
    )
    | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def template(url: str, body: str = "", body_type: BodyType = BodyType.NONE) -> RequestTemplate:
    return RequestTemplate("POST", url, {}, body_type, body)


PLACES = compile_request(
    template(
        "https://ads.example.com:8443/a/{{params.x}}/b-{{params.x}}?q={{params.x}}&r=1{{params.x}}"
    )
)
RAW_PLACES = compile_request(
    template("https://ads.example.com:8443/a/{{params.x|raw}}/b?q={{params.x|raw}}")
)
FORM = compile_request(template("https://a.com/?q={{params.x}}", "f={{params.x}}", BodyType.FORM))
JSON_BODY = compile_request(
    template("https://a.com/", '{"v": {{params.x}}, "s": "<{{params.x}}>"}', BodyType.JSON)
)
JSON_DROPPED = compile_request(
    RequestTemplate(
        "POST",
        "https://a.com/",
        {},
        BodyType.JSON,
        '{"v": {{params.x}}, "s": "{{params.x}}", "k": 1}',
        MissingValues.DROP,
    )
)
HEADER = compile_request(RequestTemplate("GET", "https://a.com/", {"X-A": "a{{params.x}}b"}))


@given(TEXT)
@example("/../")
@example("{{idfa}}")
@example("\r\nHost: evil")
def test_no_value_changes_where_a_request_goes(value: str) -> None:
    for request in (PLACES, RAW_PLACES):
        try:
            parts = urlsplit(request.render({"params": {"x": value}, "idfa": "I"}).request.url)
        except RenderError:
            continue
        assert (parts.scheme, parts.netloc) == ("https", "ads.example.com:8443")
        assert parts.path.count("/") == 3
        assert not {".", ".."} & set(parts.path.lower().replace("%2e", ".").split("/"))
        assert parts.fragment == ""
        assert [name for name, _ in parse_qsl(parts.query, keep_blank_values=True)][:1] == ["q"]
        assert parts.query.count("&") == (1 if request is PLACES else 0)


@given(TEXT)
def test_an_encoded_value_is_refused_for_nothing_but_a_dot_segment(value: str) -> None:
    request = compile_request(template("https://a.com/{{params.x}}"))
    assume(value not in {".", ".."})

    url = request.render({"params": {"x": value}}).request.url

    assert unquote(url.removeprefix("https://a.com/")) == value


@given(TEXT)
def test_a_value_comes_back_from_query_and_form(value: str) -> None:
    sent = FORM.render({"params": {"x": value}, "idfa": "expanded"}).request

    assert parse_qsl(urlsplit(sent.url).query) == [("q", value)]
    assert parse_qsl((sent.body or b"").decode()) == [("f", value)]


@given(TEXT)
def test_a_header_is_one_line_of_latin_1(value: str) -> None:
    written = HEADER.render({"params": {"x": value}}).request.headers["X-A"]

    assert not {"\r", "\n", "\0"} & set(written)
    assert written.startswith("a")
    assert written.encode("latin-1")


@given(JSON)
def test_a_json_body_always_parses_and_gives_the_value_back(value: object) -> None:
    body = JSON_BODY.render({"params": {"x": value}}).request.body

    sent = json.loads(body or b"", parse_float=Decimal)

    assert sent["v"] == (None if value == "" else value)
    if isinstance(value, str):
        assert sent["s"] == f"<{value}>"


@given(JSON)
def test_a_json_body_parses_with_dropped_members_too(value: object) -> None:
    body = JSON_DROPPED.render({"params": {"x": value}}).request.body

    sent = json.loads(body or b"", parse_float=Decimal)

    assert sent["k"] == 1
    assert ("v" in sent) == ("s" in sent) == (value not in (None, ""))


@given(st.text(st.characters(codec=None, exclude_categories=()), max_size=20))
def test_lone_surrogates_stop_nothing(value: str) -> None:
    for request in (FORM, JSON_BODY, HEADER):
        sent = request.render({"params": {"x": value}}).request

        assert sent.url.isascii()
        assert (sent.body or b"").decode("utf-8") is not None


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, max_value=10**12, min_value=0))
def test_money_is_exact(amount: Decimal) -> None:
    request = compile_request(
        template("https://a.com/?r={{revenue}}&c={{revenue|cents}}&m={{revenue|micros}}")
    )

    sent = dict(parse_qsl(urlsplit(request.render({"revenue": amount}).request.url).query))

    assert Decimal(sent["r"]) == amount
    assert Decimal(sent["c"]) == (amount * 100).quantize(Decimal(1), ROUND_HALF_UP)
    assert sent["m"] == str(int(amount * 1_000_000))


@given(
    st.lists(st.sampled_from(sorted(CATALOGUE)), min_size=1, max_size=8),
    st.dictionaries(st.sampled_from(sorted(sample_facts().event.fields)), TEXT, max_size=4),
    st.booleans(),
    st.booleans(),
    st.sampled_from(MissingValues),
)
def test_a_rule_renders_from_values_read_when_needed_what_it_renders_from_all_of_them(
    names: list[str], fields: dict[str, str], personal: bool, revenue: bool, missing: MissingValues
) -> None:
    sample = sample_facts()
    event = replace(sample.event, fields={**sample.event.fields, **fields})
    values = macro_values(
        replace(sample, event=event), withhold_personal=personal, withhold_revenue=revenue
    )
    url = "https://a.com/p?" + "&".join(f"p{at}={{{{{name}}}}}" for at, name in enumerate(names))
    members = ", ".join(f'"{at}": "{{{{{name}}}}}"' for at, name in enumerate(names))
    request = compile_request(
        RequestTemplate("POST", url, {}, BodyType.JSON, f"{{{members}}}", missing)
    )

    assert request.render(values) == request.render(dict(values))


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "limit_ad_tracking": st.sampled_from([True, False, None, 1, "true"]),
            "att_status": st.sampled_from([0, 1, 2, 3, None, "1"]),
            "us_privacy": st.sampled_from(["1YYN", "1YNN", "1Y", "", None, 7]),
            "sharing_opt_out": st.sampled_from([["all"], ["Lumen Ads"], ["other"], [], "all"]),
            "eea": st.sampled_from([True, False, None]),
            "gdpr_applies": st.sampled_from([True, False, None]),
            "ad_user_data": st.sampled_from([True, False, None]),
        },
    )
)
def test_consent_is_missing_where_there_is_evidence_and_only_there(
    fields: dict[str, object],
) -> None:
    partner = ("lumen_ads", "0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55")
    us_privacy, opted_out = fields.get("us_privacy"), fields.get("sharing_opt_out")
    is_european = fields.get("eea") is True or fields.get("gdpr_applies") is True
    expected = (
        fields.get("limit_ad_tracking") is True
        or fields.get("att_status") in {1, 2}
        or us_privacy in {"1YYN", "1NYN"}
        or opted_out in (["all"], ["Lumen Ads"])
        or (is_european and fields.get("ad_user_data") is not True)
    )

    assert consent_is_missing(fields, partner=partner) is expected
    assert bool(consent_evidence(fields, partner=partner)) is expected
