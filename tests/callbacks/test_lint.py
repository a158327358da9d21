"""Each kind of remark is made where it should be, and nowhere else; its fix silences it."""

import msgspec
import pytest

from postbacks.callbacks.lint import Fix, RuleWarning, WarningCode, amount_errors, fix_of, lint
from postbacks.callbacks.macros import (
    BodyType,
    MissingValues,
    RequestTemplate,
    TemplateError,
    compile_request,
)
from postbacks.callbacks.partner_templates import (
    PartnerTemplate,
    all_templates,
    definition_from_template,
    rule_in_use,
    template_named,
)
from postbacks.callbacks.rules.definition import RuleDefinition

AT = "https://ads.example.com/p"


def _rule(url: str = AT, **fields: object) -> RuleDefinition:
    plain: dict[str, object] = {
        "name": "A rule",
        "app_id": None,
        "partner_id": None,
        "triggers": ("purchase",),
        "frequency": "every",
        "attribution_scope": "everyone",
        "event_map": {},
        "window_days": None,
        "sampling_percent": 100,
        "delay_seconds": 0,
        "send_revenue": True,
        "without_consent": "strip",
        "method": "GET",
        "url": url,
        "headers": {},
        "body_type": BodyType.NONE,
        "body": "",
        "missing_values": MissingValues.EMPTY,
        "success": {},
        "timeout_seconds": 15,
        "retry_delays": (),
    }
    return RuleDefinition(**{**plain, **fields})  # type: ignore[arg-type]  # a table's fields


def _json(body: str, **fields: object) -> RuleDefinition:
    return _rule(method="POST", body_type=BodyType.JSON, body=body, **fields)


def _form(body: str) -> RuleDefinition:
    return _rule(method="POST", body_type=BodyType.FORM, body=body)


def _codes_and_fixes(remarks: tuple[RuleWarning, ...]) -> list[tuple[str, str | None]]:
    return [(remark.code.value, remark.fix) for remark in remarks]


@pytest.mark.parametrize(
    ("definition", "code", "fix"),
    [
        (_rule(f"{AT}?a={{idfa}}"), WarningCode.SINGLE_BRACES, "{{idfa}}"),
        (_rule(f"{AT}?a={{advertising_idd}}"), WarningCode.SINGLE_BRACES, "{{advertising_id}}"),
        (_rule(f"{AT}?a={{qqqqqq}}"), WarningCode.SINGLE_BRACES, None),
        (_rule(f"{AT}?a={{gps_adid}}"), WarningCode.VENDOR_PLACEHOLDER, "{{gaid}}"),
        (_rule(f"{AT}?a=(event-name)"), WarningCode.VENDOR_PLACEHOLDER, "{{event_name}}"),
        (_rule(f"{AT}?a=$%7Bx%7D&b=[country]"), WarningCode.VENDOR_PLACEHOLDER, "{{country}}"),
        (_rule(f"{AT}?a=%country%"), WarningCode.VENDOR_PLACEHOLDER, "{{country}}"),
        (_rule(f"{AT}?a=__CLICK_ID__"), WarningCode.VENDOR_PLACEHOLDER, None),
        (_rule(headers={"X-Id": "{idfa}"}), WarningCode.SINGLE_BRACES, "{{idfa}}"),
        (_json('{"id": "{idfa}"}'), WarningCode.SINGLE_BRACES, "{{idfa}}"),
        (_rule(f"{AT}?a=%7Bidfa%7D"), WarningCode.VENDOR_PLACEHOLDER, "{{idfa}}"),
        (_rule(f"{AT}?a=%257Bgps_adid%257D"), WarningCode.VENDOR_PLACEHOLDER, "{{gaid}}"),
        (_rule(f"{AT}?a=%28idfa%29"), WarningCode.VENDOR_PLACEHOLDER, "{{idfa}}"),
        (_rule(f"{AT}?a=%2528idfa%2529"), WarningCode.VENDOR_PLACEHOLDER, "{{idfa}}"),
        (_rule(f"{AT}?a=%5BCLICK_ID%5D"), WarningCode.VENDOR_PLACEHOLDER, "{{click_id}}"),
        (_rule(f"{AT}?a={{payout}}"), WarningCode.SINGLE_BRACES, "{{payout||revenue}}"),
        (_rule(f"{AT}?a=1&amp;b=2"), WarningCode.HTML_ENTITY, "&"),
        (_rule(f"{AT}?a=1&amp;amp;b=2"), WarningCode.HTML_ENTITY, "&"),
        (_form("a=1&amp;b={{country}}"), WarningCode.HTML_ENTITY, "&"),
        (_rule("http://ads.example.com/p"), WarningCode.NOT_ENCRYPTED, "https://"),
        (_rule(f"{AT}?a=Gem Harbor"), WarningCode.NOT_ENCODED, "%20"),
        (_rule(f"{AT}/ä?a=b"), WarningCode.NOT_ENCODED, "%C3%A4"),
        (_rule(f"{AT}?a=100%"), WarningCode.NOT_ENCODED, "%25"),
        (_rule(f"{AT}?a=b|c"), WarningCode.NOT_ENCODED, "%7C"),
        (_form("a=x y\nb={{country}}"), WarningCode.NOT_ENCODED, "%20"),
        (_rule(f"{AT}?a=1&b=2&a=3"), WarningCode.DUPLICATE_PARAMETER, ""),
        (_form("a=1\nb=2\na={{country}}"), WarningCode.DUPLICATE_PARAMETER, ""),
        (_json('{"a": 1, "b": {"a": 2}, "a": {{country}}}'), WarningCode.DUPLICATE_PARAMETER, None),
        (
            _rule(f"{AT}?a={{{{idfa}}}}", without_consent="send"),
            WarningCode.PERSONAL_WITHOUT_CONSENT,
            "strip",
        ),
        (
            _rule(f"{AT}?a={{{{params.mail}}}}", without_consent="send"),
            WarningCode.PERSONAL_WITHOUT_CONSENT,
            "strip",
        ),
        (_rule(f"{AT}?a={{{{gaid_md5}}}}"), WarningCode.NOT_ON_PLATFORM, "{{advertising_id_md5}}"),
        (_rule(f"{AT}?a={{{{install_referrer!}}}}"), WarningCode.NOT_ON_PLATFORM, None),
    ],
)
def test_what_was_hardly_meant_is_remarked(
    definition: RuleDefinition, code: WarningCode, fix: str | None
) -> None:
    remarks = lint(definition, platform="ios")

    assert _codes_and_fixes(remarks) == [(code, fix)]
    text = _text(definition, remarks[0].field)
    assert 0 <= remarks[0].position <= remarks[0].position + remarks[0].length <= len(text)


@pytest.mark.parametrize(
    "definition",
    [
        _rule(f"{AT}?a={{{{idfa||gaid||'none'}}}}&b={{{{country|lower}}}}&c=100%25"),
        _rule(f"{AT}?t=%28new%29&u=Hello%20%28city%29&v=%7Bwhatever%7D&amp=1&ids%5B0%5D=1"),
        _json('{"html": "a &amp; b"}'),
        _rule(f"{AT}?ids[]=1&ids[]=2&n=Gem%20Harbor&t=(new)&u=[x]"),
        _rule(f"{AT}?a={{{{gaid||'none'}}}}"),
        _rule(f"{AT}?a={{{{country}}}}", without_consent="send"),
        _json('{"a": {"b": [1, {"c": "x y ä | (hello)"}]}, "n": {{revenue}}, "b": 1}'),
        _rule(method="POST", body_type=BodyType.RAW, body="<p>100% a b (see you) a=1&a=2</p>"),
        _rule(headers={"Accept": "text/html; q=0.5", "X": "a b"}),
        _form("a=1\nb={{country}}\n"),
    ],
)
def test_what_is_right_is_left_alone(definition: RuleDefinition) -> None:
    assert lint(definition, platform="ios") == ()


def test_a_rule_for_all_apps_may_name_what_some_platforms_have() -> None:
    assert lint(_rule(f"{AT}?a={{{{gaid}}}}")) == ()


def test_a_fix_silences_its_remark() -> None:
    url = "http://ads.example.com/ö?a={idfa}&b=(country)&c=x y&a=2"
    for _ in range(10):
        fixable = [remark for remark in lint(_rule(url)) if remark.fix is not None]
        if not fixable:
            break
        url = Fix(fixable[0].position, fixable[0].length, fixable[0].fix or "").applied_to(url)

    assert url == "https://ads.example.com/%C3%B6?a={{idfa}}&b={{country}}&c=x%20y"
    assert lint(_rule(url)) == ()


def test_what_the_partner_requires_is_missed_and_can_be_added() -> None:
    template = template_named("unity-ads")
    assert template is not None
    url = "https://ads-secondary-conversion.unityads.unity3d.com/v1/events"
    rule = rule_in_use(template, url=url, method="GET", body_type=BodyType.NONE)
    assert rule is not None

    first, *others = lint(_rule(url), template=rule)

    assert {remark.code for remark in (first, *others)} == {WarningCode.REQUIRED_MISSING}
    assert "event" in first.message
    fixed = Fix(first.position, first.length, first.fix or "").applied_to(url)
    assert fixed.endswith("/v1/events?event={{partner_event_name!}}")
    rest = lint(_rule(fixed), template=rule)
    assert [remark.message for remark in rest] == [remark.message for remark in others]


def test_what_a_json_body_lacks_is_put_at_its_beginning() -> None:
    template = template_named("kochava")
    assert template is not None
    rule = template.rules[0]

    remarks = lint(_json("{}", url=rule.url), template=rule)

    addable = [remark for remark in remarks if remark.fix is not None]
    assert {remark.code for remark in remarks} == {WarningCode.REQUIRED_MISSING}
    for remark in addable:
        body = Fix(remark.position, 0, remark.fix or "").applied_to("{}")
        assert lint(_json(body, url=rule.url), template=rule) != remarks


@pytest.mark.parametrize("template", all_templates().values(), ids=lambda template: template.name)
def test_shipped_templates_give_no_reason_for_remarks(template: PartnerTemplate) -> None:
    for rule in template.rules:
        made = definition_from_template(rule, ["install"], address="" if rule.url else AT)
        fields = ("url", "method", "headers", "body_type", "body", "attribution_scope")
        shape = {k: made[k] for k in fields}
        shape |= {"body_type": BodyType(str(shape["body_type"])), "partner_id": 1}
        definition = _rule(**shape)  # type: ignore[arg-type]  # a table's fields

        assert lint(definition, template=rule) == ()


@pytest.mark.parametrize(
    ("url", "fixed"),
    [
        ("?a={{advertisng_id}}", "?a={{advertising_id}}"),
        ("?a={{ advertisng_id | lower }}", "?a={{ advertising_id | lower }}"),
        ("?a={{idfa||gaidd|upper}}", "?a={{idfa||gaid|upper}}"),
        ("?a={{revenue|centss}}", "?a={{revenue|cents}}"),
        ("?a={{event_time|tz:'Europe/Kyv'}}", "?a={{event_time|tz:'Europe/Kyiv'}}"),
        ("?a={{parms.level}}", "?a={{params.level}}"),
    ],
)
def test_a_suggestion_goes_where_the_mistake_is(url: str, fixed: str) -> None:
    url = AT + url
    with pytest.raises(TemplateError) as raised:
        compile_request(RequestTemplate(url=url))

    fix = fix_of(raised.value.problems[0], url)

    assert fix is not None
    assert fix.applied_to(url) == AT + fixed
    compile_request(RequestTemplate(url=fix.applied_to(url)))


def test_the_host_that_was_meant_takes_the_place_of_the_host() -> None:
    with pytest.raises(TemplateError) as raised:
        compile_request(RequestTemplate(url="https://bücher.example/x"))

    fix = fix_of(raised.value.problems[0], "https://bücher.example/x")

    assert fix is not None
    assert fix.applied_to("https://bücher.example/x") == "https://xn--bcher-kva.example/x"


@pytest.mark.parametrize(
    ("authority", "fault", "meant"),
    [
        ("ads.example.com:0", "0 is not a port", None),
        ("ads.example.com:00000", "00000 is not a port", None),
        ("ads.example.com:65536", "65536 is not a port", None),
        ("ads.example.com:99999", "99999 is not a port", None),
        ("ads.example.com:123456789", "123456789 is not a port", None),
        ("ads.example.com:8o", "“8o” is not a port", None),
        ("ads.example.com:-1", "“-1” is not a port", None),
        ("ads.example.com:", "The port after the colon is missing", "ads.example.com"),
        ("ads.example.com.", "The host ends with a dot", "ads.example.com"),
        ("ads.example.com.:8443", "The host ends with a dot", "ads.example.com:8443"),
        ("ads.example.com.:0", "0 is not a port", None),
        ("192.0.2.1:0", "0 is not a port", None),
        ("192.0.2.1.", "The host ends with a dot", "192.0.2.1"),
        ("[2606:4700::1111]:0", "0 is not a port", None),
        ("[2606:4700::1111]:99999", "99999 is not a port", None),
        ("ads..example.com", "This is not a host name", None),
    ],
)
def test_what_is_wrong_with_a_host_is_named(authority: str, fault: str, meant: str | None) -> None:
    url = f"https://{authority}/x"
    with pytest.raises(TemplateError) as raised:
        compile_request(RequestTemplate(url=url))

    (problem,) = raised.value.problems
    assert fault in problem.message
    fix = fix_of(problem, url)
    assert (fix and fix.applied_to(url)) == (meant and f"https://{meant}/x")


@pytest.mark.parametrize(
    ("macro", "message"),
    [
        ("country|cents", "cents: country is text"),
        ("platform|minor", "minor: platform is text"),
        ("event_name|upper|micros", "micros: event_name is text"),
        ("idfa_md5|cents", "cents: idfa is text"),
        ("idfa||gaid|cents", "cents: idfa is text"),
        ("event_time|cents", "cents: event_time is a time"),
        ("params|cents", "cents: params is a group of values"),
        ('currency|convert:"EUR"', "convert: currency is text"),
        ("country|cents!", "cents: country is text"),
        ('revenue|convert:"XXX"', "XXX is not a currency"),
        ('revenue|convert:"xbt"', "XBT is not a currency"),
        ('revenue|convert:"DEM"', "DEM is not a currency"),
        ('revenue|convert:"RMB"|cents', "RMB is not a currency"),
        ('params.price|convert:"EUU"', "EUU is not a currency"),
    ],
)
def test_a_filter_of_money_that_never_has_a_value_can_not_be_saved(
    macro: str, message: str
) -> None:
    url = f"{AT}?a={{{{{macro}}}}}"

    (error,) = amount_errors(_rule(url))

    assert message in error.message
    assert url[error.position :].startswith(error.message.partition(":")[0])
    compile_request(RequestTemplate(url=url))  # what was saved before goes on being sent


@pytest.mark.parametrize(
    ("macro", "fixed"),
    [
        ("quantity|cents", "quantity"),
        ("session_count|minor", "session_count"),
        ("limit_ad_tracking|cents", "limit_ad_tracking"),
        ("payout_pct|cents", "payout_pct"),
        ("revenue_usd_cents|cents", "revenue_usd_cents"),
        ("revenue|cents|cents", "revenue|cents"),
        ("revenue|micros | cents!", "revenue|micros!"),
        ('revenue|minor|convert:"EUR"', "revenue|minor"),
        ("event_time|unix|cents", "event_time|unix"),
        ("revenue|int|cents", "revenue|int"),
        ("revenue|round|cents|default:'0'", "revenue|round|default:'0'"),
        ('quantity|convert:"EUR"', "quantity"),
        ("event_time_ms|cents", "event_time_ms"),
        ("event_name||'5'|cents", "event_name||'5'"),
    ],
)
def test_a_filter_of_money_that_makes_no_sense_is_remarked(macro: str, fixed: str) -> None:
    url = f"{AT}?a={{{{{macro}}}}}"

    (remark,) = lint(_rule(url))

    assert remark.code == WarningCode.NOT_AN_AMOUNT
    fix = Fix(remark.position, remark.length, remark.fix or "")
    assert fix.applied_to(url) == f"{AT}?a={{{{{fixed}}}}}"


@pytest.mark.parametrize(
    "macro",
    [
        *("revenue|cents", "revenue|minor", "revenue|micros", "revenue|round:2|cents"),
        *('revenue|convert:"EUR"|cents', "revenue|cents|round:0", "revenue_usd_gross|cents"),
        *("price|cents", "cost_amount|cents", "ad_revenue|micros", "skan_least_revenue|minor"),
        *("sub1|cents", "params.total|cents", "click.payout|cents", "payout||revenue|cents"),
        *('country|map:"DE=5,AT=4"|cents', 'revenue|convert:"usd"'),
    ],
)
def test_a_filter_of_money_on_money_is_left_alone(macro: str) -> None:
    rule = _rule(f"{AT}?a={{{{{macro}}}}}", attribution_scope="any_attributed")

    assert (lint(rule), amount_errors(rule)) == ((), ())


def _text(definition: RuleDefinition, field: str) -> str:
    name, _, header = field.partition(".")
    return definition.headers[header] if header else str(msgspec.structs.asdict(definition)[name])


@pytest.mark.parametrize(
    "foreign", ["{gaid}", "${gaid}", "%gaid%", "%GAID%", "[GAID]", "(gaid)", "{GAID}"]
)
def test_a_macro_is_known_in_the_spelling_of_other_tools(foreign: str) -> None:
    (remark,) = lint(_rule(f"{AT}?x={foreign}&z={{{{gaid}}}}"))

    assert remark.message.startswith(f"{foreign} is sent as it stands.")
    assert remark.fix == "{{gaid}}"


@pytest.mark.parametrize("text", ["%20%25", "[0]", "(c)", "{{gaid||(idfa)}}", "{}", "{1}"])
def test_other_texts_in_brackets_are_left_alone(text: str) -> None:
    assert [remark.code for remark in lint(_rule(headers={"X": text}))] == []
