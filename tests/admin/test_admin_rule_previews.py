"""The preview beside the form of a rule: what would be sent, before anything is saved."""

import pytest
from django.http import HttpResponse
from django.test import Client

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, Event, Postback
from tests import make
from tests.admin.pages import filled_form, sign_in
from tests.events import event, record

pytestmark = pytest.mark.django_db(transaction=True)

ADD = "/admin/postbacks/callbackrule/add/"
LIVE = "/admin/postbacks/callbackrule/preview/"
URL = "https://ads.example.com/?e={{event_name}}&idfa={{idfa}}"


def _ask(browser: Client, path: str = LIVE, **changes: object) -> HttpResponse:
    form = filled_form(browser.get(ADD).content.decode())
    return browser.post(path, {**form, "url": URL, "_live": "1", **changes})


def _received(made: make.Tenant, **fields: object) -> int:
    record(made, event(**fields))
    with tenant(made.organization.pk):
        return Event.objects.latest("id").pk


def test_the_preview_button_shows_the_request_and_saves_nothing() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    form = filled_form(browser.get(ADD).content.decode())

    answer = browser.post(ADD, {**form, "name": "Mine", "url": URL, "_preview": "1"})

    page = answer.context["rule"]
    assert page.preview.request.url.startswith("https://ads.example.com/?e=purchase&idfa=6D92078A")
    assert "Nothing has been saved yet." in answer.content.decode()
    assert filled_form(answer.content.decode())["name"] == "Mine"
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()
        assert not Postback.objects.exists()


def test_the_preview_button_of_a_saved_rule_leaves_it_as_it_is() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()
    browser = sign_in(made.owner)
    path = f"/admin/postbacks/callbackrule/{rule.pk}/change/"
    form = filled_form(browser.get(path).content.decode())

    answer = browser.post(path, {**form, "url": URL, "_preview": "1"})

    assert answer.context["rule"].preview.request.address == "https://ads.example.com/"
    with tenant(made.organization.pk):
        assert CallbackRule.objects.get().url == "https://ads.example.com/postback"


def test_an_empty_form_is_no_reproach() -> None:
    made = make.make_tenant()

    answer = _ask(sign_in(made.owner), url="")

    assert answer.status_code == 200
    assert "required" not in answer.content.decode()
    assert "Write a URL, and see here what the partner would get." in answer.content.decode()


def test_an_event_that_was_received_fills_the_request() -> None:
    made = make.make_tenant()
    id_ = _received(made, name="level_up", idfa="ABC", params={"level": 12})
    browser = sign_in(made.owner)

    answer = _ask(browser, preview_event=id_, url=f"{URL}&l={{{{params.level}}}}&r={{{{revenue}}}}")

    parts = {part.name: part.sent for part in answer.context["rule"].preview.request.parameters}
    assert parts == {"e": "level_up", "idfa": "ABC", "l": "12", "r": ""}
    assert answer.context["rule"].preview.missing == ("revenue",)
    assert "{{params.level}}" in answer.content.decode()
    chosen = next(choice for choice in answer.context["rule"].preview.choices if choice.is_chosen)
    assert chosen.event.name == "level_up"


@pytest.mark.parametrize(
    ("macro", "skips", "why_empty"),
    [
        ("{{gaid!}}", ["unknown to iOS"], []),
        ("{{gaid_md5!}}", ["unknown to iOS"], []),
        ("{{idfa!}}", ["idfa is no ID"], []),
        ("{{idfa}}", [], ["idfa is no ID"]),
        ("{{carrier}}", [], ["the event has no carrier"]),
        ("{{carrier!}}", ["the event has no carrier"], []),
        ("{{revenue_usd}}", [], ["no currency"]),
        ("{{event_name}}", [], []),
    ],
)
def test_a_macro_without_a_value_has_one_reason(
    macro: str, skips: list[str], why_empty: list[str]
) -> None:
    made = make.make_tenant()
    fields = {"platform": "ios", "idfa": "null", "revenue": 5}
    id_ = _received(made, name="purchase", **fields)

    answer = _ask(
        sign_in(made.owner),
        preview_event=id_,
        triggers="purchase",
        url=f"https://ads.example.com/p?a={macro}",
        app=made.app.pk,
    )

    page = answer.context["rule"]
    for said, expected in (
        (page.preview.skips, skips),
        ([macro.reason for macro in page.preview.empty_macros], why_empty),
    ):
        assert len(said) == len(expected), said
        assert all(words in text for words, text in zip(expected, said, strict=True))
    assert not any("never has a value" in remark.message for remark in page.remarks)
    assert "or the person's consent" not in answer.content.decode()


def test_an_event_that_the_rule_would_not_send_is_told_apart() -> None:
    made = make.make_tenant()
    id_ = _received(made, name="level_up")

    answer = _ask(
        sign_in(made.owner),
        preview_event=id_,
        triggers="purchase",
        event_map="purchase = af_purchase",
    )

    assert "level_up is not among its events" in answer.content.decode()
    assert "the event map does not name level_up" in answer.content.decode()


def test_the_sample_has_the_name_that_the_rule_waits_for_and_the_partner_knows() -> None:
    made = make.make_tenant()

    answer = _ask(
        sign_in(made.owner),
        triggers="install",
        event_map="install = af_install",
        url="https://ads.example.com/?e={{event_name}}&p={{partner_event_name}}",
    )

    assert answer.context["rule"].preview.request.url.endswith("?e=install&p=af_install")


def test_only_the_chosen_apps_events_are_offered() -> None:
    made = make.make_tenant()
    id_ = _received(made, name="level_up")
    with tenant(made.organization.pk):
        other = make.App.objects.create(name="Other", platform="android")

    answer = _ask(sign_in(made.owner), app=other.pk, preview_event=id_)

    assert [choice.value for choice in answer.context["rule"].preview.choices] == ["sample"]
    assert "The chosen event is not there." in answer.content.decode()


@pytest.mark.parametrize("chosen", ["", "x", "-1", "9" * 40, "\x00", "\u0661", "0"])
def test_an_event_that_is_none_is_answered_with_the_sample(chosen: str) -> None:
    made = make.make_tenant()

    answer = _ask(sign_in(made.owner), preview_event=chosen)

    assert answer.status_code == 200
    assert "e=purchase" in answer.context["rule"].preview.request.url


def test_another_organizations_event_app_and_partner_are_not_there() -> None:
    made, foreign = make.make_tenant(), make.make_tenant("Foreign")
    id_ = _received(foreign, name="secret_event", idfa="AAASECRET")
    with tenant(foreign.organization.pk):
        partner = make.make_partner(
            credentials={"api_key": "AAASECRET"}, allowed_hosts=("ads.example.com",)
        )
    browser = sign_in(made.owner)

    event_answer = _ask(browser, preview_event=id_)
    app_answer = _ask(browser, app=foreign.app.pk)
    partner_answer = _ask(
        browser, partner=partner.pk, url="https://ads.example.com/?k={{credential.api_key}}"
    )

    assert "The chosen event is not there." in event_answer.content.decode()
    assert "Select a valid choice" in app_answer.content.decode()
    assert "Select a valid choice" in partner_answer.content.decode()
    for answer in (event_answer, app_answer, partner_answer):
        assert "SECRET" not in answer.content.decode()
        assert "secret_event" not in answer.content.decode()


def test_another_organizations_rule_is_not_found() -> None:
    made, foreign = make.make_tenant(), make.make_tenant("Foreign")
    with tenant(foreign.organization.pk):
        rule = make.make_rule()
    browser = sign_in(made.owner)

    answers = [_ask(browser, f"{LIVE}?rule={key}") for key in (rule.pk, "x", "9" * 40, "%00")]

    assert [answer.status_code for answer in answers] == [404] * 4


def test_a_credential_is_masked_and_offered_by_name() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        partner = make.make_partner(
            credentials={"api_key": "AAASECRET"}, allowed_hosts=("ads.example.com",)
        )

    answer = _ask(
        sign_in(made.owner),
        partner=partner.pk,
        url="https://ads.example.com/?k={{credential.api_key}}",
        headers="X-Key: {{credential.api_key}}",
    )

    assert "AAASECRET" not in answer.content.decode()
    assert answer.context["rule"].preview.request is not None
    assert [group.title for group in answer.context["rule"].own_macros] == [
        "Credentials of the partner"
    ]


def test_a_wrong_parameter_is_told_apart_and_the_others_are_filled_in() -> None:
    made = make.make_tenant()

    answer = _ask(
        sign_in(made.owner), url='https://a.example/?e={{event_name|map:"a=1&b=2"}}&x={{idfaa}}&z=1'
    )

    parts = answer.context["rule"].preview.request.parameters
    assert [(part.name, part.is_wrong) for part in parts] == [
        ("e", False),
        ("x", True),
        ("z", False),
    ]
    assert "Unknown macro idfaa." in answer.content.decode()


def test_a_parameter_without_a_value_is_shown_as_left_out() -> None:
    made = make.make_tenant()
    id_ = _received(made, name="level_up")

    answer = _ask(sign_in(made.owner), preview_event=id_, missing_values="drop")

    parts = {part.name: part.sent for part in answer.context["rule"].preview.request.parameters}
    assert parts == {"e": "level_up", "idfa": None}


def test_bodies_are_shown_as_people_read_them() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    as_json = _ask(browser, method="POST", body_type="json", body='{"r":{{revenue}}}')
    as_form = _ask(browser, method="POST", body_type="form", body="r={{revenue}}\ne=1")

    assert as_json.context["rule"].preview.request.body == '{\n  "r": 4.99\n}'
    parts = as_form.context["rule"].preview.request.body_parameters
    assert [(part.name, part.written, part.sent) for part in parts] == [
        ("r", "{{revenue}}", "4.99"),
        ("e", "1", "1"),
    ]


def test_hostile_text_is_shown_as_text() -> None:
    made = make.make_tenant()
    id_ = _received(made, name='"><b x-data="alert(1)">')

    answer = _ask(
        sign_in(made.owner),
        preview_event=id_,
        url="https://a.example/?<b>={{event_name}}&{{<script>",
        headers="<b>",
        triggers="<b>",
    )

    assert answer.status_code == 200
    for tag in ("<b>", "<b x", "<script>"):
        assert tag not in answer.content.decode()


def test_an_analyst_can_not_ask_for_previews_of_what_nobody_saved() -> None:
    made = make.make_tenant()
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    answer = analyst.post(LIVE, {"url": URL})

    assert answer.status_code == 403


def test_the_preview_is_asked_for_by_post_alone() -> None:
    made = make.make_tenant()

    answer = sign_in(made.owner).get(LIVE)

    assert answer.status_code == 405


def test_the_preview_needs_the_forms_token() -> None:
    made = make.make_tenant()
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(made.owner)

    answer = browser.post(LIVE, {"url": URL})

    assert answer.status_code == 403


def test_an_erased_address_is_not_previewed_any_more() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(url="https://ads.example.com/old")

    answer = _ask(sign_in(made.owner), f"{LIVE}?rule={rule.pk}", url="")

    assert answer.context["rule"].preview.request is None
    assert "/old" not in answer.content.decode()


def test_a_body_nested_too_deep_to_be_indented_is_shown_as_it_is() -> None:
    body = "[" * 3_000 + "]" * 3_000

    answer = _ask(sign_in(make.make_tenant().owner), method="POST", body_type="raw", body=body)

    assert answer.status_code == 200
    assert answer.context["rule"].preview.request.body == body


def test_the_preview_says_first_that_the_event_would_be_skipped() -> None:
    answer = _ask(
        sign_in(make.make_tenant().owner),
        triggers="purchase",
        url="https://ads.example.com/?g={{gaid!}}&e={{event_name}}",
    )

    text = answer.content.decode().partition('id="rule-preview"')[2]
    assert text.index("This event would be skipped:") < text.index("Parameters of the URL")
    assert "{{gaid}} has no value" in text
