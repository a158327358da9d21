"""Fixes, marks, the parameter table and templates in the form of a rule, without scripts."""

import re
from html import unescape

import pytest
from django.http import HttpResponse
from django.test import Client

from apps_registry.tenancy import tenant
from postbacks.admin.rules.request_parts import RequestPart, indented_template, json_parts
from postbacks.models import CallbackRule
from tests import make
from tests.admin.pages import filled_form, sign_in, submit

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/postbacks/callbackrule/add/"
AT = "https://ads.example.com/?"


def _look(browser: Client, path: str = ADD, **changes: object) -> HttpResponse:
    form = filled_form(browser.get(ADD).content.decode())
    return browser.post(path, {**form, "_preview": "1", **changes})


def _fixes(answer: HttpResponse) -> list[tuple[str, str]]:
    """Return the buttons of a page: what stands on them, and what they send."""
    matches = re.findall(
        r'name="_fix" value="([^"]*)"[^>]*>(.*?)</button>', answer.content.decode(), re.DOTALL
    )
    return [(re.sub(r"<[^>]*>", "", text), unescape(value)) for value, text in matches]


def _press(browser: Client, answer: HttpResponse, text: str) -> dict[str, object]:
    form = filled_form(answer.content.decode())
    answer = browser.post(ADD, {**form, "_fix": dict(_fixes(answer))[text]})
    assert answer.status_code == 200
    assert "Nothing has been saved yet." in answer.content.decode()
    return filled_form(answer.content.decode())


def test_what_was_meant_is_put_in_by_a_press() -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = _look(browser, url=f"  {AT}a={{{{advertisng_id}}}}&n=x y")
    form = _press(browser, answer, "Use advertising_id")

    assert form["url"].strip() == f"{AT}a={{{{advertising_id}}}}&n=x y"
    assert [text for text, _ in _fixes(answer)] == ["Use advertising_id", "Use %20"]


def test_fixes_reach_headers_body_conditions_credentials_and_choices() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"api_key": "AAA"}, allowed_hosts=("ads.example.com",)
        )
    browser = sign_in(made.owner)

    answer = _look(
        browser,
        url=f"{AT}a={{{{idfa}}}}",
        headers="A: b\r\nX-Id:  {idfa}",
        method="POST",
        body_type="json",
        body='{\r\n  "c": {{contry}}\r\n}',
        partner=partner.pk,
        condition_lines="platform = ios\r\n contry in DE",
        auth_type="bearer",
        auth_credential="apikey",
        without_consent="send",
    )
    fixes = {value for _, value in _fixes(answer)}

    for fix, (field, wanted) in {
        "headers:12:18:{{idfa}}": ("headers", "A: b\nX-Id:  {{idfa}}"),
        "body:11:17:country": ("body", '{\n  "c": {{country}}\n}'),
        "condition_lines:16:22:country": ("condition_lines", "platform = ios\n country in DE"),
        "auth_credential:0:6:api_key": ("auth_credential", "api_key"),
        "without_consent:0:4:strip": ("without_consent", "strip"),
    }.items():
        assert fix in fixes
        form = filled_form(answer.content.decode())
        fixed = browser.post(ADD, {**form, "_fix": fix})
        assert filled_form(fixed.content.decode())[field].replace("\r\n", "\n") == wanted
    assert "Line 2: Unknown macro contry." in answer.content.decode()


@pytest.mark.parametrize(
    "fix", ["", "url", "url:1", "url:-1:2:x", "url:5:2:x", "url:0:9999:x", "nothing:0:0:x", "::::"]
)
def test_a_damaged_fix_changes_nothing(fix: str) -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = _look(browser, url=f"{AT}a=b", _fix=fix)

    assert filled_form(answer.content.decode())["url"] == f"{AT}a=b"
    assert "Nothing has been saved yet." in answer.content.decode()


def test_macros_are_marked_as_the_server_sees_them() -> None:
    browser = sign_in(make.make_tenant().owner)
    url = f"{AT}é={{{{idfa}}}}&b={{{{idfaa}}}}&c={{{{idfa|uper}}}}&d={{idfa}}&e={{{{idfa"

    answer = _look(browser, url=url)

    words = re.findall(r'id="problems-url".*?data-marks="([^"]*)"', answer.content.decode(), re.S)
    kinds = [word.rpartition("-") for word in words[0].split()]
    marked = {url[slice(*map(int, place.split("-")))]: kind for place, _, kind in kinds}
    assert marked == {
        "é": "odd",
        "{{idfa}}": "known",
        "{{idfaa}}": "unknown",
        "{{idfa|uper}}": "filter",
        "{idfa}": "odd",
        "{{idfa": "unknown",
    }


def test_the_table_notes_where_a_parameter_is_empty_and_what_it_is_for() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        ios = make.App.objects.create(name="Harbor", platform="ios")
    browser = sign_in(made.owner)

    answer = _look(browser, url=f"{AT}a={{{{idfa}}}}&b={{{{country}}}}", app=ios.pk)
    for_all = _look(browser, url=f"{AT}a={{{{att_status}}}}", without_consent="skip")

    notes = [part.note for part in answer.context["rule"].preview.request.parameters]
    assert notes == ["Empty for people on iOS who opted out.", ""]
    (note,) = [part.note for part in for_all.context["rule"].preview.request.parameters]
    assert note == "Only on iOS, TV."


def test_a_json_body_is_taken_apart_like_a_query() -> None:
    template = '{"a": {"b": [{{revenue}}, "x {{idfa}} \\" y"]}, "c": 1.50, "d": {{country}}}'

    parts = json_parts(template, '{"a":{"b":[4.10,"x 7 \\" y"]},"c":1.50}')

    assert parts == (
        RequestPart("a.b[0]", "{{revenue}}", "4.10"),
        RequestPart("a.b[1]", 'x {{idfa}} " y', 'x 7 " y'),
        RequestPart("c", "1.50", "1.50"),
        RequestPart("d", "{{country}}", None),
    )


def test_json_is_laid_out_with_its_macros_and_numbers_as_they_were() -> None:
    text = indented_template(
        '{"a":{{revenue|round:2}},"b":["x{{idfa||\'n\'}}", 1.50],"{{x}}": "{{y}}"}'
    )

    assert text == (
        '{\n  "a": {{revenue|round:2}},\n  "b": [\n    "x{{idfa||\'n\'}}",\n    1.50\n  ],\n'
        '  "{{x}}": "{{y}}"\n}'
    )
    assert indented_template(text) is None
    assert indented_template("{") is None


def test_a_partners_template_fills_the_form_in() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"s2s_token": "AAA", "app_token": "BBB"}, allowed_hosts=("s2s.adjust.com",)
        )
        partner.template = "adjust"
        partner.save()
    browser = sign_in(made.owner)

    offered = _look(browser, partner=partner.pk)
    form = filled_form(offered.content.decode())
    answer = browser.post(ADD, {**form, "triggers": "purchase", "_fill": "0"})

    assert "Fill in from the template: events" in offered.content.decode()
    filled = filled_form(answer.content.decode())
    assert filled["url"] == "https://s2s.adjust.com/event"
    assert (filled["method"], filled["body_type"]) == ("POST", "form")
    assert filled["triggers"] == "purchase"
    assert filled["event_map"] == "purchase = def456"
    assert filled["headers"] == "Authorization: Bearer {{credential.s2s_token}}"
    assert "event_token={{partner_event_name!}}" in filled["body"]
    assert answer.context["rule"].problems == ()
    assert answer.context["rule"].absent == ()
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()


def test_what_the_partner_requires_is_a_row_with_a_button() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner()
        partner.template = "adjust"
        partner.save()
    browser = sign_in(made.owner)

    answer = _look(
        browser,
        partner=partner.pk,
        url="https://s2s.adjust.com/event",
        method="POST",
        body_type="form",
        body="app_token=1",
    )
    form = _press(browser, answer, "Add event_token")

    assert form["body"] == "app_token=1\nevent_token={{partner_event_name!}}"
    assert "purchase = def456" in answer.content.decode()


def test_another_organizations_partner_fills_nothing_in() -> None:
    made, foreign = make.make_tenant(), make.make_tenant("Foreign")
    with tenant(foreign.organization.pk):
        partner = make.make_partner()
        partner.template = "adjust"
        partner.save()
    browser = sign_in(made.owner)

    answer = _look(browser, partner=partner.pk, url=AT, _fill="0")

    assert "adjust" not in answer.content.decode().lower().replace("adjust's", "")
    assert filled_form(answer.content.decode())["url"] == AT


@pytest.mark.parametrize(
    ("typed", "fix", "fixed"),
    [
        (" country = Germany", "condition_lines:11:18:DE", " country = DE"),
        (
            "currency=eur\r\n\r\ncountry in FR, Germany",
            "condition_lines:29:36:DE",
            "currency=eur\n\ncountry in FR, DE",
        ),
        ("platform ≠ iPhone ", "condition_lines:11:17:ios", "platform ≠ ios "),
        ("att_status = Authorized", "condition_lines:13:23:3", "att_status = 3"),
        ("country = DE,AT", "condition_lines:8:9:in", "country in DE,AT"),
    ],
)
def test_a_fix_replaces_the_wrong_part_of_a_condition(typed: str, fix: str, fixed: str) -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = _look(browser, url=f"{AT}a=b", condition_lines=typed)

    assert fix in {value for _, value in _fixes(answer)}
    form = filled_form(answer.content.decode())
    after = browser.post(ADD, {**form, "_fix": fix})
    lines = filled_form(after.content.decode())["condition_lines"].replace("\r\n", "\n")
    assert lines.strip() == fixed.strip()
    assert "is no" not in after.content.decode().partition('id="problems-condition_lines"')[2][:400]


@pytest.mark.parametrize(
    ("typed", "button", "field", "fixed"),
    [
        (
            {"url": f"{AT}c={{{{click_id}}}}"},
            "Use Installs that any partner earned",
            "attribution_scope",
            "any_attributed",
        ),
        (
            {"url": f"{AT}c={{{{click_id}}}}"},
            "Use {{click_id!}}",
            "url",
            f"{AT}c={{{{click_id!}}}}",
        ),
        (
            {"attribution_scope": "partner"},
            "Use Installs that any partner earned",
            "attribution_scope",
            "any_attributed",
        ),
        (
            {"attribution_scope": "partner_and_organic"},
            "Use All installs, organic ones too",
            "attribution_scope",
            "everyone",
        ),
        (
            {"triggers": " install,purchse , open"},
            "Use purchase",
            "triggers",
            "install,purchase , open",
        ),
        (
            {"triggers": "purchase, open", "event_map": "purchase = p\r\n"},
            "Add open = open",
            "event_map",
            "purchase = p\nopen = open",
        ),
        (
            {"triggers": "*", "event_map": "open = o\r\npurchse = p"},
            "Use purchase",
            "event_map",
            "open = o\npurchase = p",
        ),
        (
            {"condition_lines": "event_name = purchse"},
            "Use purchase",
            "condition_lines",
            "event_name = purchase",
        ),
        ({"sampling_percent": "0"}, "Use 100", "sampling_percent", "100"),
    ],
)
def test_what_loses_money_in_silence_has_its_remedy_as_a_button(
    typed: dict[str, str], button: str, field: str, fixed: str
) -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = _look(browser, **{"url": f"{AT}a=b", "triggers": "install", **typed})
    form = _press(browser, answer, button)

    assert str(form[field]).strip().replace("\r\n", "\n") == fixed


def test_what_nobody_would_notice_stands_before_the_other_remarks() -> None:
    browser = sign_in(make.make_tenant().owner)

    answer = _look(browser, url=f"{AT}c={{{{click_id}}}}&n=x y", triggers="install")

    text = answer.content.decode().partition('id="rule-preview"')[2]
    assert text.index("Nobody would notice:") < text.index("1 remark")
    assert "organic installs too, which have no click_id" in text


def test_revenue_that_is_kept_back_is_switched_on_by_a_button() -> None:
    browser = sign_in(make.make_tenant().owner)
    form = filled_form(browser.get(ADD).content.decode())
    del form["send_revenue"]

    answer = browser.post(ADD, {**form, "_preview": "1", "url": f"{AT}r={{{{revenue}}}}"})
    form = _press(browser, answer, "Switch on Send revenue")

    assert "send_revenue" in form


def test_a_scope_that_needs_a_partner_is_refused_beside_its_field() -> None:
    made = make.make_tenant()
    rule = {"name": "New", "triggers": "install", "url": f"{AT}a=b", "attribution_scope": "partner"}

    answer = submit(sign_in(made.owner), ADD, rule)

    beside = answer.content.decode().partition('id="problems-attribution_scope"')[2]
    assert "Choose the partner" in beside[:400]
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()


def test_half_a_character_of_a_body_is_shown_as_a_question_mark() -> None:
    body = '{"a\\ud83d":"\\ud83d","b":["\\udca9",{}]}'

    parts = json_parts(body, body)

    assert [(part.name, part.written, part.sent) for part in parts] == [
        ("a?", "?", "?"),
        ("b[0]", "?", "?"),
        ("b[1]", "{}", "{}"),
    ]


@pytest.mark.parametrize("depth", [400, 900, 990, 30_000])
def test_a_body_that_is_nested_deeply_is_not_taken_apart(depth: int) -> None:
    body = "[" * depth + "1" + "]" * depth

    assert len(json_parts(body, body)) <= 1
