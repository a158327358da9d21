"""Previews: what a rule would send, without saving or sending anything."""

from typing import Any
from uuid import uuid4

import pytest

from apps_registry.tenancy import tenant as tenant_of
from postbacks.callbacks.rules.versions import definition_from
from postbacks.models import CallbackRule, Event, Postback
from postbacks.rulebook.preview import Unrendered, preview_definition
from tests import make
from tests.api.calling import DRAFT, owner_of, report

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://ads.example.com/?event={{event_name}}&idfa={{idfa}}&revenue={{revenue}}"


def test_a_preview_needs_only_a_url_and_has_the_contracts_shape() -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules/preview", {"url": URL})

    assert answer.status == 200
    shape = {"method", "url", "headers", "body", "problems", "missing", "remarks"}
    assert answer.data.keys() == shape
    assert answer.data["method"] == "GET"
    assert answer.data["url"].startswith("https://ads.example.com/?event=")
    assert answer.data["body"] is None
    assert answer.data["problems"] == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("gaid", "null"), ("gaid", "00000000-0000-0000-0000-000000000000"), ("oaid", "{oaid}")),
        *(("app_set_id", "unknown"), ("android_id", "9774d56d682e549c"), ("install_id", "REPLACE")),
        ("gaid", "\u200b"),
    ],
)
def test_a_preview_names_what_an_event_has_in_place_of_an_id(field: str, value: str) -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/preview",
        {
            "url": f"https://ads.example.com/?g={{{{{field}!}}}}",
            "event": {"event_name": "open", "platform": "android", field: value},
        },
    )

    (problem,) = answer.data["problems"]
    assert answer.data["missing"] == [field]
    assert f"the event's {field} is no ID" in problem["message"]


def test_a_preview_remarks_on_the_event_as_the_intake_would() -> None:
    made = make.make_tenant()
    api = owner_of(made)
    fields = {"event_name": "purchase", "revenue": 5, "idfa": "abc", "colour": "red"}
    event_id = report(made.sdk_key, event_name="purchase", revenue=5)
    url = "https://ads.example.com/?p={{revenue}}"

    given = api.post("callback-rules/preview", {"url": url, "event": fields}).data
    stored = api.post("callback-rules/preview", {"url": url, "event_id": event_id}).data
    sample = api.post("callback-rules/preview", {"url": url}).data

    def remarks(answer: dict[str, Any]) -> dict[str, str]:
        return {remark["field"]: remark["message"] for remark in answer["remarks"]}

    assert remarks(given).keys() == {"url", "event.currency", "event.idfa", "event.colour"}
    assert remarks(stored).keys() == {"url", "event.currency"}
    assert "no currency" in remarks(stored)["event.currency"]
    assert remarks(sample).keys() == {"url"}
    assert ["without a currency" in each["message"] for each in sample["problems"]] == [True]


def test_a_preview_remarks_on_what_was_hardly_meant() -> None:
    url = "https://ads.example.com/?id={idfa}"

    answer = owner_of(make.make_tenant()).post("callback-rules/preview", {"url": url})

    assert answer.data["problems"] == []
    assert answer.data["remarks"] == [
        {
            "field": "url",
            "position": url.index("{"),
            "length": len("{idfa}"),
            "code": "single_braces",
            "message": "{idfa} is sent as it stands. A macro has two braces. Use {{idfa}}.",
            "fix": "{{idfa}}",
        }
    ]


def test_a_preview_misses_what_the_partners_template_requires() -> None:
    made = make.make_tenant()
    with tenant_of(made.organization.pk):
        partner = make.make_partner()
        partner.template = "adjust"
        partner.save()

    answer = owner_of(made).post(
        "callback-rules/preview",
        {
            "url": "https://s2s.adjust.com/event",
            "method": "POST",
            "body_type": "form",
            "body": "app_token=1",
            "partner": str(partner.public_id),
        },
    )

    assert [
        (remark["code"], remark["position"], remark["fix"]) for remark in answer.data["remarks"]
    ] == [("required_missing", len("app_token=1"), "\nevent_token={{partner_event_name!}}")]


def test_a_preview_renders_a_given_event() -> None:
    tenant = make.make_tenant()

    answer = owner_of(tenant).post(
        "callback-rules/preview",
        {
            "url": URL,
            "method": "POST",
            "headers": {"X-Event": "{{event_name}}"},
            "body_type": "json",
            "body": '{"revenue": {{revenue}}}',
            "event": {
                "event_name": "purchase",
                "revenue": 4.10,
                "currency": "EUR",
                "bundle_id": tenant.bundle_id.identifier,
            },
        },
    )

    assert answer.status == 200, answer.data
    assert answer.data["method"] == "POST"
    assert answer.data["url"] == "https://ads.example.com/?event=purchase&idfa=&revenue=4.1"
    assert answer.data["headers"]["X-Event"] == "purchase"
    assert answer.data["body"] == '{"revenue":4.1}'
    assert answer.data["missing"] == ["idfa"]


def test_a_preview_shows_headers_of_the_device_only_where_they_may_be_sent() -> None:
    tenant = make.make_tenant()
    headers = {"User-Agent": "{{user_agent}}", "X-Forwarded-For": "{{ip_address}}"}
    device = {"event_name": "open", "user_agent": "Gem/4", "ip_address": "203.0.113.7"}

    accepted, refused = (
        owner_of(tenant).post(
            "callback-rules/preview", {"url": URL, "headers": headers, "event": {**device, **more}}
        )
        for more in ({}, {"limit_ad_tracking": True})
    )

    assert accepted.data["headers"] == {"User-Agent": "Gem/4", "X-Forwarded-For": "203.0.113.7"}
    assert refused.data["headers"] == {}
    assert {"user_agent", "ip_address"} <= set(refused.data["missing"])


def test_a_preview_renders_an_event_that_was_received() -> None:
    tenant = make.make_tenant()
    event_id = report(tenant.sdk_key, event_name="level_up", idfa="ABC")

    answer = owner_of(tenant).post("callback-rules/preview", {"url": URL, "event_id": event_id})

    assert answer.status == 200
    assert "event=level_up&idfa=ABC" in answer.data["url"]


def test_every_problem_of_a_rule_is_listed_with_its_place() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/preview",
        {
            "url": "https://ads.example.com/?id={{advertisng_id}}",
            "headers": {"X-A": "{{revenue|centz}}"},
        },
    )

    assert answer.status == 200
    assert {problem["field"] for problem in answer.data["problems"]} == {"url", "headers.X-A"}
    for problem in answer.data["problems"]:
        assert problem.keys() == {"field", "position", "message", "suggestion"}
    suggestions = [problem["suggestion"] for problem in answer.data["problems"]]
    assert set(suggestions) == {"advertising_id", "cents"}


@pytest.mark.parametrize("macro", ["country|cents", 'revenue|convert:"XXX"'])
def test_a_filter_that_never_has_a_value_can_not_be_saved(macro: str) -> None:
    owner = owner_of(make.make_tenant())
    rule = {"name": "Sales", "url": f"https://ads.example.com/?a={{{{{macro}}}}}"}

    previewed = owner.post("callback-rules/preview", rule)
    saved = owner.post("callback-rules", rule)

    (problem,) = previewed.data["problems"]
    assert (problem["field"], problem["position"]) == ("url", rule["url"].index("|") + 1)
    assert saved.status == 400
    assert [error["pointer"] for error in saved.data["errors"]] == ["/url"]


def test_cents_that_make_no_sense_are_remarked_and_can_be_saved() -> None:
    owner = owner_of(make.make_tenant())
    rule = {"name": "Sales", "url": "https://ads.example.com/?a={{quantity|cents}}"}

    previewed = owner.post("callback-rules/preview", rule)
    saved = owner.post("callback-rules", rule)

    assert [remark["code"] for remark in previewed.data["remarks"]] == ["not_an_amount"]
    assert saved.status == 201


def test_an_address_that_may_not_be_reached_is_a_problem() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/preview", {"url": "http://169.254.169.254/"}
    )

    assert answer.status == 200
    assert [problem["field"] for problem in answer.data["problems"]] == ["url"]


def test_credentials_are_masked() -> None:
    api = owner_of(make.make_tenant())
    partner = api.post(
        "partners",
        {"name": "A", "allowed_hosts": ["ads.example.com"], "credentials": {"key": "hush-hush"}},
    ).data["id"]

    answer = api.post(
        "callback-rules/preview",
        {"url": "https://ads.example.com/?k={{credential.key}}", "partner": partner},
    )

    assert answer.data["problems"] == []
    assert "hush" not in str(answer.data)


def test_a_wrong_event_is_refused_below_event() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/preview", {"url": URL, "event": {"event_name": "x", "revenue": "much"}}
    )

    assert (answer.status, answer.pointers()) == (400, ["/event/revenue"])


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"event": {}}, "/event/event_name"),
        ({"event": "purchase"}, "/event"),
        ({"event_id": str(uuid4())}, "/event_id"),
        ({"event_id": "x"}, "/event_id"),
        ({"event_id": str(uuid4()), "event": {"event_name": "x"}}, "/event_id"),
        ({"app": str(uuid4())}, "/app"),
        ({"unknown": 1}, "/unknown"),
        ({"method": "BREW"}, "/method"),
    ],
)
def test_a_preview_of_nothing_sensible_is_refused(fields, pointer) -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules/preview", {"url": URL, **fields})

    assert (answer.status, answer.pointers()) == (400, [pointer])


def test_a_preview_without_url_is_refused() -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules/preview", {})

    assert (answer.status, answer.pointers()) == (400, ["/url"])


def test_an_event_id_in_two_apps_needs_the_app() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    event_id = report(tenant.sdk_key, event_name="first")
    other = api.post("apps", {"name": "Other", "platform": "ios"}).data["id"]
    key = api.post("sdk-keys", {"app": other, "kind": "server"}).data["key"]
    report(key, event_id=event_id, event_name="second")

    unclear = api.post("callback-rules/preview", {"url": URL, "event_id": event_id})
    named = api.post("callback-rules/preview", {"url": URL, "event_id": event_id, "app": other})

    assert (unclear.status, unclear.pointers()) == (400, ["/event_id"])
    assert "event=second" in named.data["url"]


def test_a_preview_saves_nothing() -> None:
    tenant = make.make_tenant()

    owner_of(tenant).post("callback-rules/preview", {"url": URL, "event": {"event_name": "x"}})

    with tenant_of(tenant.organization.pk):
        assert not CallbackRule.objects.exists()
        assert not Event.objects.exists()
        assert not Postback.objects.exists()


def test_what_would_lose_money_unnoticed_is_a_problem_with_its_remedy() -> None:
    made = make.make_tenant()
    report(made.sdk_key)
    rule = {
        "url": "https://ads.example.com/?clickid={{click_id}}&payout={{revenue}}",
        "triggers": ["install", "purchse"],
        "event_map": {"install": "i"},
    }

    answer = owner_of(made).post("callback-rules/preview", rule)

    assert [(problem["field"], problem["suggestion"]) for problem in answer.data["problems"]] == [
        ("attribution_scope", "any_attributed"),
        ("url", "{{click_id!}}"),
        ("event_map.purchse", "purchse"),
        ("triggers.1", "purchase"),
    ]
    codes = [remark["code"] for remark in answer.data["remarks"]]
    assert codes == ["empty_for_organic", "empty_for_organic", "not_mapped", "unknown_event"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("headers", {f"X-{n}": "{{revenue}}" for n in range(20_000)}),
        ("headers", {f"X-{n}": "1" for n in range(21)}),
        ("triggers", [f"event_{n}" for n in range(100_000)]),
        ("triggers", ["a"] * 1_001),
        ("event_map", {f"event_{n}": "e" for n in range(20_000)}),
    ],
)
@pytest.mark.parametrize("path", ["callback-rules/preview", "callback-rules"])
def test_what_a_rule_may_not_have_is_refused_before_any_of_it_is_read(
    field: str, value: object, path: str
) -> None:
    made = make.make_tenant()

    answer = owner_of(made).post(path, {**DRAFT, field: value})

    assert (answer.status, answer.pointers()) == (400, [f"/{field}"])
    assert "send at most " in answer.details()


def test_a_rule_of_the_form_with_too_many_headers_is_not_rendered() -> None:
    made = make.make_tenant()
    with tenant_of(made.organization.pk):
        rule = make.make_rule(headers={f"X-{n}": "1" for n in range(21)})
        preview = preview_definition(definition_from(rule))

    assert [problem.field for problem in preview.problems] == ["headers"]
    assert isinstance(preview, Unrendered)
