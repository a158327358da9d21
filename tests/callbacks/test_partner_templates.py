"""Each shipped partner template, and what is said of a file that is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.partner_templates import (
    FOLDER,
    TemplateFileError,
    TemplateGroup,
    VerificationState,
    absent_parameters,
    all_templates,
    definition_from_template,
    missing_answers,
    missing_credentials,
    read_folder,
    template_named,
    unavailable_partners,
)
from postbacks.callbacks.partner_templates.missing import macros_of
from postbacks.callbacks.values import macro_values
from postbacks.delivery.success import parse_success
from postbacks.values.attribution import AttributionFacts
from tests.callbacks.template_requests import (
    bare_facts,
    compiled,
    definition_of,
    event_of,
    facts_for,
    sent,
)

TEMPLATES = all_templates()
DATA = Path(__file__).parent / "templates"
RULES = [
    pytest.param(template.name, number, id=f"{template.name} {rule.title}")
    for template in TEMPLATES.values()
    for number, rule in enumerate(template.rules)
]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_sends_what_was_recorded(name: str) -> None:
    expected = json.loads((DATA / "expected" / f"{name}.json").read_text())

    assert [sent(TEMPLATES[name], rule) for rule in TEMPLATES[name].rules] == expected


def test_nothing_is_recorded_of_templates_that_are_gone() -> None:
    assert {path.stem for path in (DATA / "expected").glob("*.json")} == set(TEMPLATES)


@pytest.mark.parametrize("name", sorted(path.stem for path in (DATA / "shapes").glob("*.json")))
def test_a_json_body_has_the_shape_that_the_partner_documents(name: str) -> None:
    shape = json.loads((DATA / "shapes" / f"{name}.json").read_text())

    bodies = [sent(TEMPLATES[name], rule)["body"] for rule in TEMPLATES[name].rules]

    for body in bodies:
        jsonschema.Draft202012Validator(shape).validate(body)


def test_every_json_body_of_a_partner_has_a_shape_to_hold_to() -> None:
    json_ones = {
        template.name
        for template in TEMPLATES.values()
        for rule in template.rules
        if rule.body == BodyType.JSON and not template.asks_address
    }

    assert json_ones == {path.stem for path in (DATA / "shapes").glob("*.json")}


@pytest.mark.parametrize(("name", "number"), RULES)
def test_a_rule_compiles_with_every_event_that_it_offers(name: str, number: int) -> None:
    template = TEMPLATES[name]
    rule = template.rules[number]

    for event in rule.events:
        definition = definition_of(template, rule, event.ours)
        request = compiled(template, definition)
        assert absent_parameters(rule, request.macros) == ()
        assert definition["triggers"] == [event.ours]


@pytest.mark.parametrize(("name", "number"), RULES)
def test_a_success_rule_can_be_read(name: str, number: int) -> None:
    parse_success(TEMPLATES[name].rules[number].success)


@pytest.mark.parametrize("name", TEMPLATES)
def test_credentials_go_to_the_hosts_of_the_template(name: str) -> None:
    template = TEMPLATES[name]

    hosts = {
        compiled(template, definition_of(template, rule, event_of(rule))).host
        for rule in template.rules
    }

    assert template.asks_address or hosts == set(template.allowed_hosts)


@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_not_verified_says_so(name: str) -> None:
    verification = TEMPLATES[name].verification

    assert verification.is_verified or verification.note
    assert verification.sources or verification.state == VerificationState.OWN


def test_all_groups_are_served() -> None:
    assert {template.group for template in TEMPLATES.values()} == set(TemplateGroup)
    assert {"adjust", "appsflyer", "branch", "singular", "kochava", "tenjin"} <= set(TEMPLATES)


@pytest.mark.parametrize(("name", "number"), RULES)
def test_an_event_with_nothing_but_a_name_and_a_time_is_skipped_or_sent_whole(
    name: str, number: int
) -> None:
    template = TEMPLATES[name]
    rule = template.rules[number]
    credentials = {credential.name: credential.name for credential in template.credentials}
    shape = DATA / "shapes" / f"{name}.json"

    for event in rule.events:
        definition = definition_of(template, rule, event.ours)
        values = macro_values(bare_facts(definition, event.ours))
        request = compiled(template, definition)

        missing = request.missing_required(values)
        rendering = request.render(values, credentials=credentials)

        if missing is not None:
            assert missing in rendering.missing
            continue
        absent = [
            row.name
            for row in rule.parameters
            if row.required and set(rendering.missing) >= macros_of(row) != set()
        ]
        assert absent == []
        body = (rendering.request.body or b"").decode()
        assert "{{" not in f"{rendering.request.url}{body}"
        if rule.body == BodyType.JSON:
            content = json.loads(body)
            if shape.exists():
                jsonschema.Draft202012Validator(json.loads(shape.read_text())).validate(content)


def test_google_is_told_who_earned_the_install_only_where_it_claimed_it() -> None:
    template = TEMPLATES["google-ads"]
    second = template.rules[2]
    definition = definition_of(template, second, "install")
    facts = facts_for(definition, "install")
    unclaimed = replace(facts, attribution=AttributionFacts())
    by_the_event = replace(
        unclaimed, event=replace(facts.event, params={"ad_event_id": "Q2owS0VRancwZHk"})
    )
    credentials = {"dev_token": "d", "link_id": "l"}

    request = compiled(template, definition)
    url = request.render(macro_values(by_the_event), credentials=credentials).request.url

    assert request.missing_required(macro_values(unclaimed)) == "click.ad_event_id"
    assert url.endswith("&app_event_type=first_open&ad_event_id=Q2owS0VRancwZHk&attributed=0")


def test_google_gets_what_its_sdk_measured_on_the_device() -> None:
    template = TEMPLATES["google-ads"]
    definition = definition_of(template, template.rules[0], "install")
    facts = facts_for(definition, "install")
    measured = replace(facts, event=replace(facts.event, params={"odm_info": "abEe1+="}))

    request = compiled(template, definition)

    assert "&odm_info=abEe1%2B%3D" in request.render(macro_values(measured)).request.url
    assert "odm_info" not in request.render(macro_values(facts)).request.url


def test_a_required_macro_without_a_value_is_named() -> None:
    template = TEMPLATES["taboola"]
    definition = definition_of(template, template.rules[0], "install")
    organic = replace(facts_for(definition, "install"), attribution=AttributionFacts())

    request = compiled(template, definition)

    assert request.missing_required(macro_values(organic)) == "click_id"
    assert "click_id" in request.render(macro_values(organic)).missing


def test_a_person_who_said_no_leaves_no_id_behind() -> None:
    template = TEMPLATES["unity-ads"]
    definition = definition_of(template, template.rules[0], "install")
    values = macro_values(facts_for(definition, "install"), withhold_personal=True)

    assert compiled(template, definition).missing_required(values) == "idfa"


def test_a_required_row_that_was_taken_out_of_a_rule_is_named() -> None:
    rule = TEMPLATES["mintegral"].rules[0]

    absent = absent_parameters(rule, {"click_id", "idfa"})

    assert [row.name for row in absent] == ["campuuid"]


def test_what_is_missing_is_asked_for() -> None:
    template = TEMPLATES["bi-tool"]

    missing = missing_answers(template, credentials={"token": " "}, events=[], address="")

    assert [problem.field for problem in missing] == ["address", "credential_token", "events"]
    assert missing_credentials(template, ["token"]) == ()


def test_an_event_of_ones_own_goes_by_its_own_name() -> None:
    definition = definition_from_template(TEMPLATES["tiktok"].rules[0], ["purchase", "boss_beaten"])

    assert definition["event_map"] == {"purchase": "Purchase", "boss_beaten": "boss_beaten"}


def test_names_of_an_account_come_before_examples() -> None:
    rule = TEMPLATES["adjust"].rules[0]

    definition = definition_from_template(rule, ["purchase"], names={"purchase": "xyz789"})

    assert definition["event_map"] == {"purchase": "xyz789"}


def test_a_rule_whose_request_names_no_event_has_no_map() -> None:
    definition = definition_from_template(TEMPLATES["unity-ads"].rules[0], ["install"])

    assert definition["event_map"] == {}


def test_an_address_with_a_query_keeps_it() -> None:
    rule = TEMPLATES["own-server-get"].rules[0]

    definition = definition_from_template(rule, ["*"], address="https://a.example.com/in?from=us")

    assert str(definition["url"]).startswith("https://a.example.com/in?from=us&postback_id=")


def test_on_android_google_s_id_takes_the_place_of_apple_s() -> None:
    template = TEMPLATES["unity-ads"]
    definition = definition_of(template, template.rules[0], "install")
    gaid = "CDDA802E-fb9c-47ad-9866-0794d394c912"
    facts = facts_for(definition, "install", idfa=None, gaid=gaid)
    facts = replace(facts, event=replace(facts.event, platform="android"))

    rendering = compiled(template, definition).render(
        macro_values(facts), credentials={"game_id": "1"}
    )

    assert f"advertisingTrackingId={gaid.lower()}&" in rendering.request.url


def test_there_is_no_template_of_an_unknown_name() -> None:
    assert template_named("../settings") is None


GOOD = """
title = "Example"
group = "ad network"
about = "Reports installs."
allowed_hosts = ["ads.example.com"]
[verification]
state = "read"
sources = ["https://docs.example.com"]
[[credentials]]
name = "key"
label = "Key"
help = "In the dashboard."
example = "abc"
[[rules]]
title = "installs"
url = "https://ads.example.com/cb?k={{credential.key}}"
events = [{ ours = "install", theirs = "install" }]
[[rules.parameters]]
name = "id"
meaning = "The click"
value = "{{click_id!}}"
required = true
"""


def test_a_good_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "example.toml").write_text(GOOD)

    assert read_folder(tmp_path)["example"].rules[0].parameters[0].required


@pytest.mark.parametrize(
    ("before", "after", "key", "message"),
    [
        ('title = "Example"', "", "the file", "title"),
        ('title = "Example"', "title = 3", "title", "Expected `str`"),
        ("about =", 'abuot = "x"\nabout =', "the file", "abuot"),
        ('group = "ad network"', 'group = "bank"', "group", "bank"),
        ('"Example"', '"Example', "the file", "not TOML"),
        ("click_id!", "clickid!", "rules[0].url", "Did you mean click_id"),
        ("click_id!", "click_id", "rules[0].parameters.id", "end its macro with !"),
        ("required = true", "", "rules[0].parameters.id", "so it is required"),
        ("k={{credential.key}}", "", "credentials[0].name", "No rule uses"),
        ('["ads.example.com"]', '["other.example.com"]', "rules[0].url", "may not be sent"),
        ('sources = ["https://docs.example.com"]', "", "verification.sources", "where"),
        ('"read"', '"old"', "verification.note", "not verified"),
        ('[{ ours = "install", theirs = "install" }]', "[]", "rules[0].events", "at least one"),
        ('url = "https://ads.example.com/cb?k={{credential.key}}"', 'url = ""', "asks_address", ""),
        ("[[rules]]", "[[rulez]]", "the file", "rulez"),
    ],
)
def test_a_wrong_file_names_file_and_key(
    tmp_path: Path, before: str, after: str, key: str, message: str
) -> None:
    assert before in GOOD
    (tmp_path / "example.toml").write_text(GOOD.replace(before, after, 1))

    with pytest.raises(TemplateFileError) as caught:
        read_folder(tmp_path)

    assert caught.value.key == key
    assert message in caught.value.message
    assert "example.toml" in str(caught.value)


def test_json_rows_that_do_not_fit_together_are_named(tmp_path: Path) -> None:
    rows = """
[[rules.parameters]]
name = "id.deeper"
meaning = "It can't be: id is a value"
value = "x"
"""
    json_rule = GOOD.replace(
        'title = "installs"', 'title = "installs"\nmethod = "POST"\nbody = "json"'
    )
    (tmp_path / "example.toml").write_text(json_rule + rows)

    with pytest.raises(TemplateFileError, match=r"id\.deeper does not fit"):
        read_folder(tmp_path)


def test_files_are_shipped_where_they_are_looked_for() -> None:
    assert {path.stem for path in FOLDER.glob("*.toml")} == {*TEMPLATES, "unavailable"}
    assert len(TEMPLATES) >= 20


def test_what_has_no_template_says_why_in_a_sentence() -> None:
    titles = {template.title for template in TEMPLATES.values()}

    listed = unavailable_partners()

    assert {"X", "Liftoff", "Chartboost"} <= {partner.title for partner in listed}
    assert titles.isdisjoint(partner.title for partner in listed)
    assert all(partner.why.endswith(".") for partner in listed)


def test_google_ads_is_told_by_the_device_itself() -> None:
    rule = TEMPLATES["google-ads"].rules[0]
    definition = definition_of(TEMPLATES["google-ads"], rule, "install")
    facts = facts_for(definition, "install", user_agent=None)

    missing = compiled(TEMPLATES["google-ads"], definition).missing_required(macro_values(facts))

    assert missing == "user_agent"
    assert definition["event_map"] == {"install": "first_open"}


def test_tenjin_counts_the_whole_amount_once_however_many_were_bought() -> None:
    template = TEMPLATES["tenjin"]
    purchases = template.rules[2]
    definition = definition_of(template, purchases, "purchase")
    facts = facts_for(definition, "purchase", quantity=3)

    body = compiled(template, definition).render(macro_values(facts)).request.body

    assert b"price=4.99&quantity=1&" in (body or b"")


@pytest.mark.parametrize(
    ("platform", "att_status", "expected"),
    [
        ("ios", 2, "DENIED"),
        ("ios", None, "NOT_DETERMINED"),
        ("android", None, "NOT_APPLICABLE"),
    ],
)
def test_tiktok_is_always_told_about_apple_s_permission(
    platform: str, att_status: int | None, expected: str
) -> None:
    template = TEMPLATES["tiktok"]
    definition = definition_of(template, template.rules[0], "install")
    facts = facts_for(definition, "install", att_status=att_status)
    facts = replace(facts, event=replace(facts.event, platform=platform))

    body = compiled(template, definition).render(macro_values(facts)).request.body

    assert json.loads(body or b"")["data"][0]["user"]["att_status"] == expected
