"""Preview and test send say first that a rule would skip the event; who insists gets it marked."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from apps_registry.models import App
from apps_registry.tenancy import Lifecycle, tenant
from postbacks.delivery.http.destinations import parse_networks
from postbacks.models import CallbackRule, Postback, RuleStatus
from tests import make
from tests.api.calling import PROBLEM, owner_of, report
from tests.delivery.partner_server import Partners

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("test_worker"),
]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops"
SKIPPED = "This event would be skipped: "
REFUSED = {"limit_ad_tracking": True}
EUROPEAN = {"eea": True}


@pytest.fixture
def partners(settings: Any) -> Iterator[Partners]:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    started = Partners()
    yield started
    started.stop()


def asking(field: str, operator: str, value: object) -> dict[str, object]:
    return {"conditions": {"all": [{"field": field, "operator": operator, "value": value}]}}


def skipped(answer: Any) -> list[str]:
    return [row["message"] for row in answer.data["problems"] if row["field"] == "event"]


# A rule, an event, and what is said of them.
CASES: Mapping[str, tuple[dict[str, object], dict[str, object], str]] = {
    "required": ({"url": "?g={{gaid!}}"}, {}, "{{gaid}} has no value"),
    "required of two": ({"url": "?g={{idfa||gaid!}}"}, {}, "{{idfa}} has no value"),
    "required parameter": ({"url": "?l={{params.level!}}"}, {}, "{{params.level}} has no value"),
    "required click": ({"url": "?c={{click_id!}}"}, {}, "{{click_id}} has no value"),
    "required hash": ({"url": "?c={{idfa_md5!}}"}, {}, "has no value"),
    "required in a header": (
        {"url": "?a=b", "headers": {"X-Id": "{{idfv!}}"}},
        {},
        "{{idfv}} has no value",
    ),
    "required in a body": (
        {
            "url": "?a=b",
            "method": "POST",
            "body_type": "json",
            "body": '{"id": {{customer_user_id!}}}',
        },
        {},
        "{{customer_user_id}} has no value",
    ),
    "required and withheld": (
        {"url": "?i={{idfa!}}"},
        {"idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC", **REFUSED},
        "limit_ad_tracking is true",
    ),
    "required money that is not sent": (
        {"url": "?r={{revenue!}}", "send_revenue": False},
        {"revenue": "1.99", "currency": "USD"},
        "{{revenue}} has no value",
    ),
    "limited tracking": ({"url": "?a=b", "without_consent": "skip"}, REFUSED, "did not consent"),
    "denied tracking": (
        {"url": "?a=b", "without_consent": "skip"},
        {"att_status": 2},
        "did not consent",
    ),
    "European": ({"url": "?a=b", "without_consent": "skip"}, EUROPEAN, "did not consent"),
    "opted out of sharing": (
        {"url": "?a=b", "without_consent": "skip"},
        {"sharing_opt_out": ["all"]},
        "did not consent",
    ),
    "not mapped": (
        {"url": "?a=b", "event_map": {"registration": "r"}},
        {},
        "the event map does not name purchase",
    ),
    "another event": ({"url": "?a=b", "triggers": ["install"]}, {}, "purchase is not among its"),
    "condition": (
        {"url": "?a=b", **asking("country", "=", "de")},
        {"country": "US"},
        "country = de: the event has US",
    ),
}


def _event(made: make.Tenant, **fields: object) -> dict[str, object]:
    return {"event_name": "purchase", "bundle_id": made.bundle_id.identifier, **fields}


@pytest.mark.parametrize("case", CASES)
def test_a_preview_says_that_the_event_would_be_skipped(case: str) -> None:
    fields, event, reason = CASES[case]
    made = make.make_tenant()
    rule = {**fields, "url": f"https://ads.example.com/{fields['url']}"}

    answer = owner_of(made).post("callback-rules/preview", {**rule, "event": _event(made, **event)})

    (sentence,) = skipped(answer)
    assert sentence == answer.data["problems"][0]["message"]
    assert sentence.startswith(SKIPPED)
    assert reason in sentence
    assert answer.data["url"].startswith("https://ads.example.com/?")


@pytest.mark.parametrize("case", CASES)
def test_a_test_is_sent_only_to_who_insists_and_is_marked(partners: Partners, case: str) -> None:
    fields, event, reason = CASES[case]
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, **{**fields, "url": partner.url(f"/{fields['url']}")})
    path, api = f"callback-rules/{rule.public_id}/test-send", owner_of(made)
    body = {"event": _event(made, **event)}

    first = api.post(path, body)

    assert (first.status, first.content_type) == (409, PROBLEM)
    assert first.data["detail"].startswith(SKIPPED)
    assert reason in first.data["detail"]
    assert "even_if_skipped" in first.data["detail"]
    assert partner.requests == []

    second = api.post(path, {**body, "even_if_skipped": True})

    assert second.status == 200, second.data
    assert len(partner.requests) == 1
    assert reason.casefold() in str(second.data["would_be_skipped"]).casefold()
    assert second.data["success"]["ok"] is True
    logged = api.get(f"postbacks/{second.data['postback']}")
    (attempt,) = logged.data["attempts"]
    assert attempt["detail"].startswith(f"Sent all the same. {SKIPPED}")
    assert (logged.data["test"], logged.data["status"]) == (True, "delivered")


@pytest.mark.parametrize("body", [{}, {"even_if_skipped": False}, {"even_if_skipped": True}])
def test_an_event_that_would_be_sent_is_tested_at_once_and_not_marked(
    partners: Partners, body: dict[str, object]
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url("/?e={{event_name}}"), triggers=["purchase"])

    answer = owner_of(made).post(f"callback-rules/{rule.public_id}/test-send", body)

    assert answer.status == 200
    assert answer.data["would_be_skipped"] == []
    assert answer.data["detail"] is None


def test_what_was_insisted_on_proves_nothing_and_keeps_its_mark_when_it_fails(
    partners: Partners,
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK, BROKEN)
    rule = make.make_tenant_rule(made, partner.url("/?g={{gaid!}}"))
    path, api = f"callback-rules/{rule.public_id}/test-send", owner_of(made)
    body = {"event": _event(made), "even_if_skipped": True}

    taken, refused = api.post(path, body), api.post(path, body)

    assert [taken.data["outcome"], refused.data["outcome"]] == ["delivered", "failed"]
    assert "The partner answered 500." in refused.data["success"]["reason"]
    assert SKIPPED in refused.data["success"]["reason"]
    with tenant(made.organization.pk):
        assert CallbackRule.objects.get().versions.get().tested_at is None
        assert Postback.objects.filter(test=True).count() == 2


def test_personal_data_stay_out_of_a_test_of_who_did_not_consent(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(
        made, partner.url("/?i={{idfa}}&e={{event_name}}"), without_consent="skip"
    )
    event = _event(made, idfa="6D92078A-8246-4BA4-AE5B-76104861E7DC", **REFUSED)

    owner_of(made).post(
        f"callback-rules/{rule.public_id}/test-send", {"event": event, "even_if_skipped": True}
    )

    assert partner.requests[0].startswith(b"GET /?i=&e=purchase ")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"attribution_scope": "any_attributed"}, "this one is organic"),
        ({"attribution_scope": "partner"}, "no install of this device is known"),
        ({"window_days": 7}, "7 days after the install; no install of this device is known"),
        ({"sampling_percent": 0}, "not among the 0 %"),
        ({"triggers": ["registration"]}, "purchase is not among its events"),
        ({"url": "?l={{params.level!}}"}, "{{params.level}} has no value"),
        (
            {"triggers": ["registration"], "event_map": {"registration": "r"}},
            "purchase is not among its events; the event map does not name purchase",
        ),
    ],
)
def test_of_a_received_event_all_that_is_known_is_judged(
    partners: Partners, fields: dict[str, object], reason: str
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    event_id = report(made.sdk_key)
    with tenant(made.organization.pk):
        fields = {"partner": make.make_partner(), **fields}
    url = partner.url(f"/{fields.pop('url', '')}")
    rule = make.make_tenant_rule(made, url, **fields)
    api, path = owner_of(made), f"callback-rules/{rule.public_id}"

    previewed = api.post(
        "callback-rules/preview",
        {
            **{name: value for name, value in fields.items() if name != "partner"},
            "partner": str(rule.partner.public_id),  # type: ignore[union-attr]  # it has one
            "url": url,
            "event_id": event_id,
        },
    )
    tested = api.post(f"{path}/test-send", {"event_id": event_id})

    assert reason in skipped(previewed)[0]
    assert tested.status == 409
    assert reason in tested.data["detail"]


@pytest.mark.parametrize(
    ("fields", "event"),
    [
        ({"triggers": ["install"]}, {"event_name": "install"}),
        ({"triggers": ["install"]}, {"event_name": "open"}),
        ({"triggers": ["open"]}, {"event_name": "open"}),
        ({"triggers": ["*"]}, {"event_name": "level_up"}),
        ({"attribution_scope": "any_attributed"}, {}),
        ({"window_days": 7}, {}),
        ({"without_consent": "skip"}, {"att_status": 3}),
        ({"without_consent": "strip"}, REFUSED),
        ({"frequency": "first"}, {}),
        ({"url": "?g={{gaid}}"}, {}),
        ({"url": "?g={{gaid!}}"}, {"gaid": "cdda802e-fb9c-47ad-9866-0794d394c912"}),
    ],
)
def test_a_given_event_is_not_doubted_for_what_is_not_known_of_it(
    partners: Partners, fields: dict[str, object], event: dict[str, object]
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    fields = {**fields, "url": partner.url(f"/{fields.get('url', '')}")}
    rule = make.make_tenant_rule(made, **fields)

    answer = owner_of(made).post(
        f"callback-rules/{rule.public_id}/test-send", {"event": _event(made, **event)}
    )

    assert answer.status == 200, answer.data


@pytest.mark.parametrize("status", [RuleStatus.DRAFT, RuleStatus.PAUSED, RuleStatus.SUSPENDED])
def test_a_rule_that_is_off_is_tested_all_the_same(partners: Partners, status: str) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = make.make_tenant_rule(made, partner.url(), status=status)

    assert owner_of(made).post(f"callback-rules/{rule.public_id}/test-send").status == 200


def test_an_archived_partner_gets_nothing_and_the_preview_says_so(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    with tenant(made.organization.pk):
        receiver = make.make_partner()
        rule = make.make_rule(partner.url(), partner=receiver)
        receiver.status = Lifecycle.ARCHIVED
        receiver.save()
    api = owner_of(made)

    tested = api.post(f"callback-rules/{rule.public_id}/test-send", {"even_if_skipped": True})

    assert (tested.status, partner.requests) == (409, [])
    assert "archived" in tested.data["detail"]


@pytest.mark.parametrize(
    ("fields", "url", "sent"),
    [
        ({"triggers": ["*"], "event_map": {"registration": "r"}}, "?e={{partner_event_name}}", "r"),
        (
            {"triggers": ["open", "registration"], "event_map": {"registration": "r"}},
            "?e={{partner_event_name}}",
            "r",
        ),
        (
            {"triggers": ["install"], "event_map": {"install": "i"}},
            "?e={{partner_event_name}}",
            "i",
        ),
        ({"triggers": ["*"]}, "?e={{event_name}}", "purchase"),
    ],
)
def test_the_sample_is_an_event_that_the_rule_sends(
    fields: dict[str, object], url: str, sent: str
) -> None:
    rule = {**fields, "url": f"https://ads.example.com/{url}"}

    answer = owner_of(make.make_tenant()).post("callback-rules/preview", rule)

    assert answer.data["url"].endswith(f"?e={sent}")
    assert skipped(answer) == []


def test_the_sample_says_what_it_lacks() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules/preview", {"url": "https://ads.example.com/?g={{gaid!}}"}
    )

    (sentence,) = skipped(answer)
    assert "{{gaid}} has no value" in sentence


@pytest.mark.parametrize(
    ("platform", "macro"), [("android", "gaid"), ("amazon", "amazon_id"), ("ios", "idfa")]
)
def test_the_sample_is_of_the_platform_of_the_rules_app(platform: str, macro: str) -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        app = App.objects.create(name="Other", platform=platform)

    answer = owner_of(made).post(
        "callback-rules/preview",
        {
            "url": f"https://ads.example.com/?p={{{{platform}}}}&i={{{{{macro}!}}}}",
            "app": str(app.public_id),
        },
    )

    assert answer.data["url"].startswith(f"https://ads.example.com/?p={platform}&i=")
    assert (answer.data["missing"], skipped(answer)) == ([], [])
