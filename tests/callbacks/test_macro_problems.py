"""What can't be saved, and what people are told about it."""

from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.callbacks.macros import (
    BodyType,
    MissingValues,
    RequestTemplate,
    RuleError,
    TemplateError,
    compile_request,
)

HOST = "https://ads.example.com"


def problems(
    url: str = f"{HOST}/",
    *,
    method: str = "POST",
    headers: dict[str, str] | None = None,
    body: str = "",
    body_type: BodyType = BodyType.NONE,
) -> tuple[RuleError, ...]:
    return problems_of(RequestTemplate(method, url, headers or {}, body_type, body))


def problems_of(
    template: RequestTemplate,
    credential_names: Collection[str] = (),
    allowed_hosts: Collection[str] = (),
) -> tuple[RuleError, ...]:
    """This is empty only for a template that compiles."""
    try:
        compile_request(template, credential_names=credential_names, allowed_hosts=allowed_hosts)
    except TemplateError as error:
        return error.problems or (RuleError("url", -1, "an error without problems"),)
    return ()


def test_an_unknown_macro_is_placed_and_the_nearest_name_is_given() -> None:
    assert problems(f"{HOST}/?a={{{{advertsing_id}}}}") == (
        RuleError(
            field="url",
            position=27,
            message="Unknown macro advertsing_id. Did you mean advertising_id?",
            suggestion="advertising_id",
        ),
    )


@pytest.mark.parametrize(
    ("macro", "suggestion"),
    [
        ("{{IDFA}}", "idfa"),
        ("{{idfaa_sha256}}", "idfa_sha256"),
        ("{{parms.level}}", "params.level"),
        ("{{idfa|uper}}", "upper"),
        ("{{xyzzyxyzzy}}", None),
        ("{{" + "a" * 5_000 + "}}", None),
    ],
)
def test_a_mistyped_name_gets_a_suggestion(macro: str, suggestion: str | None) -> None:
    assert [error.suggestion for error in problems(f"{HOST}/?a={macro}")] == [suggestion]


@pytest.mark.parametrize(
    ("macro", "message"),
    [
        ("{{}}", "empty"),
        ("{{ }}", "empty"),
        ("{{idfa", "never closed"),
        ("{{idfa}&b=1", "never closed"),
        ("{{idfa&b={{gaid}}", "never closed"),
        ("{{idfa||}}", "the name of a macro is expected"),
        ("{{idfa|}}", "the name of a filter is expected"),
        ("{{idfa|round:}}", "an argument is expected"),
        ("{{idfa gaid}}", "Unexpected 'g'"),
        ("{{idfa!|lower}}", "after !"),
        ("{{idfa|lower||gaid}}", "Unexpected"),
        ("{{idfa||'none}}", "Unexpected"),
    ],
)
def test_a_broken_macro_is_explained(macro: str, message: str) -> None:
    errors = problems(f"{HOST}/?a={macro}")

    assert len(errors) == 1
    assert message in errors[0].message
    assert errors[0].position >= 27


def test_all_problems_are_told_at_once_in_order() -> None:
    errors = problems(
        f"{HOST}/{{{{one}}}}?{{{{idfa}}}}=1&x={{{{two",
        method="GET",
        headers={"Host": "{{three}}"},
        body="[",
        body_type=BodyType.JSON,
    )

    assert [(error.field, error.position) for error in errors] == [
        ("url", 24),
        ("url", 32),
        ("url", 45),
        ("headers.Host", 0),
        ("headers.Host", 0),
        ("body", 0),
        ("body", 1),
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "must begin with"),
        ("ftp://ads.example.com/", "must begin with"),
        ("//ads.example.com/", "must begin with"),
        ("ads.example.com", "must begin with"),
        ("ads.example.com/p?x={{idfa}}", "must begin with"),
        ("ads.example.com/{{idfa}}?u=https://a.example/", "must begin with"),
        ("{{idfa}}://ads.example.com/", "scheme, host or port"),
        ("https://{{idfa}}/", "scheme, host or port"),
        ("https://{{idfa}}.example.com/", "scheme, host or port"),
        ("https://ads.example.com{{idfa}}/", "scheme, host or port"),
        ("https://ads.example.com:{{idfa}}/", "scheme, host or port"),
        ("https://{{idfa}}@ads.example.com/", "scheme, host or port"),
        ("https://user:pw@ads.example.com/", "user name"),
        ("https:///path", "not a host name"),
        ("https://a..b/", "not a host name"),
        ("https://a b.com/", "not a host name"),
        ("https://a.com:0/", "0 is not a port"),
        ("https://a.com:70000/", "70000 is not a port"),
        ("https://[::1/", "not a host name"),
        ("https://[1.2]/", "not a host name"),
        ("https://①②⑦.⓪.⓪.①/", "not a host name"),
        ("https://a.com\\@b.com/", "backslash"),
        ("https://a.com/x\\y", "backslash"),
        ("https://a.com/x#y", "fragment"),
        ("https://a.com/x\ny", "control"),
        ("https://a.com/x\x00y", "can't be sent"),
        ("https://a.com/\ud800", "can't be sent"),
        ("https://a.com/x ", "ends with a space"),
        ("https://a.com/../y", ". or .."),
        ("https://a.com/%2E%2e/y", ". or .."),
        ("https://a.com/?{{idfa}}=1", "name of a parameter"),
        ("https://a.com/?{{idfa}}", "name of a parameter"),
        ("https://a.com/?a=1&x{{idfa}}=1", "name of a parameter"),
        ("https://a.com/" + "x" * 8_192, "at most"),
        ("https://a.com/?x=" + "{{idfa}}" * 201, "at most 200 macros"),
    ],
)
def test_a_url_that_can_not_be_used_is_refused(url: str, message: str) -> None:
    assert any(message in error.message for error in problems(url))


def test_a_host_in_another_script_gets_its_ascii_form_as_suggestion() -> None:
    (problem,) = problems("https://bücher.example/")

    assert problem.suggestion == "xn--bcher-kva.example"
    assert problem.message.endswith("ASCII letters. Write it as xn--bcher-kva.example.")


# UTS 46, non-transitional, as browsers read a host: IDNA 2003 would lead some of these to a
# host of another owner.
@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("straße.de", "xn--strae-oqa.de"),
        ("STRAẞE.de", "xn--strae-oqa.de"),
        ("www.faß-und-fass.example:8443", "www.xn--fa-und-fass-w6a.example:8443"),
        ("βόλος.example", "xn--nxasmm1c.example"),
        ("ΒΌΛΟΣ.example", "xn--nxasmq6b.example"),
        ("ن\u0627م\u0647\u200c\u0627ی.example", "xn--mgba3gch31f060k.example"),
        ("ශ්\u200dරී.example", "xn--10cl1a0b660p.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("bücher。example", "xn--bcher-kva.example"),
        ("bücher\uff0eexample", "xn--bcher-kva.example"),
        ("ads｡example\uff1a8443", "ads.example:8443"),
        ("\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.com", "example.com"),
        ("bu\u0308cher.example", "xn--bcher-kva.example"),
        ("stra%C3%9Fe.de", "xn--strae-oqa.de"),
        ("my_ads.bücher.example", "my_ads.xn--bcher-kva.example"),
        ("\u0430pple.example", "xn--pple-43d.example"),
        ("例え.テスト", "xn--r8jz45g.xn--zckzah"),
    ],
)
def test_the_suggested_host_is_the_one_that_was_written(written: str, suggestion: str) -> None:
    (error,) = problems(f"https://{written}/cb?a={{{{idfa}}}}")

    assert error.suggestion == suggestion
    assert problems(f"https://{suggestion}/cb") == ()


@pytest.mark.parametrize(
    "written",
    [
        "x\u200dy.example",  # a joiner where no script needs one
        "i❤.example",  # IDNA 2008 has no emoji
        "a..bücher.example",
        "-bücher.example",
        "ä" * 70 + ".example",
        "①②⑦.⓪.⓪.①",
        "bücher.example:99999",
        "℀.example",  # a slash inside
        "bücher%2Fx.example",
    ],
)
def test_no_host_is_suggested_where_none_was_written(written: str) -> None:
    (error,) = problems(f"https://{written}/cb")

    assert error.suggestion is None
    assert "host" in error.message


@pytest.mark.parametrize(
    "name",
    [
        *("Host", "content-length", "Transfer-Encoding", "Connection", "TE", "Upgrade", "Expect"),
        *("Cookie", "Proxy-Authorization", "Forwarded", "X-Forwarded-Host", "Idempotency-Key"),
        *("X-Forwarded-Proto", "webhook-id", "Webhook-Timestamp", "webhook-signature"),
    ],
)
def test_a_header_of_the_connection_or_of_ours_is_refused(name: str) -> None:
    errors = problems(headers={name: "x"})

    assert [error.field for error in errors] == [f"headers.{name}"]


@pytest.mark.parametrize("name", ["User-Agent", "user-agent", "X-Forwarded-For"])
def test_a_header_that_tells_of_the_device_is_taken(name: str) -> None:
    assert problems(headers={name: "{{user_agent}}"}) == ()


@pytest.mark.parametrize("name", ["", "a b", "a:b", "é", "a\r\nb", "{{idfa}}", "x" * 65])
def test_a_header_s_name_is_plain_text(name: str) -> None:
    assert problems(headers={name: "x"})


@pytest.mark.parametrize(
    "headers", [{"X-A": "1", "x-a": "2"}, {"X-A": "a\r\nb"}, {"X-A": "\u0407"}]
)
def test_a_header_that_can_not_be_sent_is_refused(headers: dict[str, str]) -> None:
    assert len(problems(headers=headers)) == 1


def test_a_request_has_a_limited_number_of_headers() -> None:
    assert problems(headers={f"X-{number}": "1" for number in range(21)})


@pytest.mark.parametrize(
    ("body", "position"),
    [
        ("", 0),
        ("{", 1),
        ('{"a": }', 6),
        ('{"a": {{idfa}} 1}', 15),
        ('{"a": {{idfa}}{{gaid}}}', 14),
        ('{"a": -{{revenue}}}', 6),
        ('{"a": {{revenue}}.5}', 17),
        ("{ {{idfa}}: 1}", 2),
        ('{"{{idfa}}": 1}', 1),
        ('{"a": 1,}', 8),
        ("[1,]", 3),
        ("[1 2]", 3),
        ('"abc', 0),
        ('"\\x"', 0),
        ('"\\{{idfa}}"', 0),
        ("01", 0),
        ("NaN", 0),
        ("True", 0),
        ("1 2", 2),
        ("[" * 100, 33),
        ('{"a": "' + "x" * 70_000 + '"}', 0),
    ],
)
def test_a_body_that_is_not_json_is_refused_where_it_ends_to_be(body: str, position: int) -> None:
    errors = problems(body=body, body_type=BodyType.JSON)

    assert [(error.field, error.position) for error in errors] == [("body", position)]


def test_a_macro_can_not_be_the_name_of_a_form_field() -> None:
    assert problems(body="{{idfa}}=1", body_type=BodyType.FORM)[0].field == "body"


def test_a_get_request_has_no_body() -> None:
    errors = problems(method="GET", body="x", body_type=BodyType.RAW)

    assert [error.message for error in errors] == ["GET requests carry no body."]


def test_an_unknown_method_is_refused() -> None:
    assert problems(method="DELETE")[0].field == "method"


@pytest.mark.parametrize("url", [f"{HOST}/?a={{idfa}}&b=}}}}", f"{HOST}/?a=${{x}}&b=[y]", HOST])
def test_what_is_no_macro_of_ours_can_be_saved(url: str) -> None:
    assert problems(url) == ()


PIECES = st.sampled_from(
    [
        *(
            "{{",
            "}}",
            "{",
            "}",
            "|",
            "||",
            "!",
            "'",
            '"',
            ":",
            ",",
            ".",
            "\\",
            "/",
            "?",
            "&",
            "=",
            "#",
        ),
        *("idfa", "params.x", "credential.host", "event_time", "https://", "a.com", "[", "]", "\0"),
        *("lower", "date", "%Y", "tz", "round", "map", "hmac_sha256", "9" * 30, " ", "\ud800", "é"),
    ]
)
TEXTS = st.text(max_size=60) | st.lists(PIECES, max_size=25).map("".join)


@given(
    url=TEXTS | TEXTS.map(lambda path: f"{HOST}/{path}"),
    header=st.tuples(TEXTS, TEXTS),
    body=TEXTS,
    body_type=st.sampled_from(BodyType),
    missing=st.sampled_from(MissingValues),
)
def test_a_hostile_template_gives_a_template_error_or_compiles(
    url: str, header: tuple[str, str], body: str, body_type: BodyType, missing: MissingValues
) -> None:
    template = RequestTemplate("POST", url, dict([header]), body_type, body, missing)
    sizes = {"url": len(url), "body": len(body), f"headers.{header[0]}": len(header[1])}

    errors = problems_of(template, credential_names=["host"], allowed_hosts=["a.com"])

    assert all(0 <= error.position <= sizes[error.field] for error in errors)
