"""Callback rules over the API."""

import pytest

from apps_registry.tenancy import tenant as tenant_of
from postbacks.models import CallbackRule, RuleStatus
from tests import make
from tests.api.calling import DRAFT, owner_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_address_that_was_pasted_is_read_as_meant_and_what_was_done_is_said() -> None:
    owner = owner_of(make.make_tenant())
    pasted = "Postback: https://ads.example.com/?a={{idfa}}&amp;b=%7B%7Bevent_name%7D%7D"
    meant = "https://ads.example.com/?a={{idfa}}&b={{event_name}}"

    saved = owner.post("callback-rules", {**DRAFT, "url": pasted})
    read = owner.get(f"callback-rules/{saved.data['id']}")
    written_back = owner.patch(f"callback-rules/{saved.data['id']}", saved.data)
    previewed = owner.post("callback-rules/preview", {"url": pasted})
    plain = owner.post("callback-rules/preview", {"url": meant})

    assert (saved.status, saved.data["url"]) == (201, meant)
    assert len(saved.data["notes"]) == 3
    assert (read.data["url"], "notes" in read.data) == (meant, False)
    assert (written_back.status, "notes" in written_back.data) == (200, False)
    assert (previewed.data["problems"], "notes" in plain.data) == ([], False)
    assert previewed.data["url"] == plain.data["url"]
    assert previewed.data["notes"] == saved.data["notes"]


def test_a_rule_of_only_a_name_and_a_url_has_the_defaults_of_the_contract() -> None:
    answer = owner_of(make.make_tenant()).post("callback-rules", DRAFT)

    assert answer.status == 201
    set_by_us = {name: answer.data.pop(name) for name in ("id", "created_at", "updated_at")}
    assert all(set_by_us.values())
    assert answer.data == {
        **DRAFT,
        "app": None,
        "partner": None,
        "status": "draft",
        "triggers": ["*"],
        "frequency": "every",
        "attribution_scope": "everyone",
        "conditions": {"all": []},
        "event_map": {},
        "window_days": None,
        "sampling_percent": 100,
        "delay_seconds": 0,
        "send_revenue": True,
        "without_consent": "strip",
        "method": "GET",
        "headers": {},
        "body_type": "none",
        "body": "",
        "missing_values": "empty",
        "authentication": {"type": "none"},
        "sign": False,
        "success": {
            "codes": ["2xx"],
            "body_contains": None,
            "json_path": None,
            "json_equals": None,
        },
        "timeout_seconds": 15,
        "retry_delays": [
            5,
            30,
            120,
            600,
            1800,
            3600,
            7200,
            18000,
            36000,
            50400,
            72000,
            72000,
        ],
        "rate_limit_per_second": None,
        "max_in_flight": None,
        "version": 1,
        "held": 0,
        "breakers": [],
    }


def test_every_field_of_a_rule_is_kept_as_it_was_written() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    partner = api.post(
        "partners",
        {
            "name": "A",
            "credentials": {"key": "a-key"},
            "allowed_hosts": ["ads.example.com"],
        },
    ).data["id"]
    fields = {
        "name": "Purchases",
        "app": str(tenant.app.public_id),
        "partner": partner,
        "status": "active",
        "triggers": ["purchase", "install"],
        "frequency": "first",
        "attribution_scope": "partner_and_organic",
        "conditions": {
            "any": [
                {"field": "country", "operator": "in", "value": ["DE", "AT"]},
                {"field": "revenue", "operator": "≥", "value": 5.5},
                {"field": "params.level", "operator": "exists", "value": True},
            ]
        },
        "event_map": {"purchase": "af_purchase"},
        "window_days": 30,
        "sampling_percent": 50,
        "delay_seconds": 60,
        "send_revenue": False,
        "without_consent": "skip",
        "method": "POST",
        "url": "https://ads.example.com/{{event_name}}",
        "headers": {"X-Event": "{{event_name}}"},
        "body_type": "json",
        "body": ' {"event": "{{event_name}}"}\n',
        "missing_values": "drop",
        "authentication": {
            "type": "hmac",
            "header": "X-Signature",
            "credential": "key",
            "algorithm": "sha1",
        },
        "sign": True,
        "success": {
            "codes": ["200"],
            "body_contains": "ok",
            "json_path": "data.0",
            "json_equals": 1.5,
            "final": [{"json_path": "code", "equals": [40105, 1.5, None, "x"]}],
            "retry": [{"body_contains": "rate limit"}],
        },
        "timeout_seconds": 5,
        "retry_delays": [1, 2],
        "rate_limit_per_second": 20,
        "max_in_flight": 4,
    }

    made = api.post("callback-rules", fields)
    read = api.get(f"callback-rules/{made.data['id']}")

    assert made.status == 201, made.data
    assert {name: read.data[name] for name in fields} == fields


def test_a_mistaken_macro_is_refused_with_its_place_and_the_nearest_name() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules", {"name": "A", "url": "https://ads.example.com/?id={{advertisng_id}}"}
    )

    assert answer.status == 400
    (error,) = answer.data["errors"]
    assert error["pointer"] == "/url"
    assert error["suggestion"] == "advertising_id"
    assert error["detail"].endswith(f"(position {error['position']}). Did you mean advertising_id?")


def _condition(field: str, operator: str, value: object) -> dict[str, object]:
    line = {"field": field, "operator": operator, "value": value}
    return {"conditions": {"all": [line]}}


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"headers": {"X~A": "{{nothing_like_it}}"}}, "/headers/X~0A"),
        ({"method": "POST", "body_type": "json", "body": "{"}, "/body"),
        ({"url": "https://127.1.1.1.example.com:99999/"}, "/url"),
        ({"url": "http://169.254.169.254/latest"}, "/url"),
        ({"url": "https://ads.example.com/?k={{credential.api_key}}"}, "/url"),
        (_condition("contry", "=", "DE"), "/conditions/all/0/field"),
        (_condition("country", "~", "DE"), "/conditions/all/0/operator"),
        (_condition("revenue", "≥", "much"), "/conditions/all/0/value"),
        (_condition("country", "=", {"a": 1}), "/conditions/all/0/value"),
        (_condition("country", "=", "Germany"), "/conditions/all/0/value"),
        (_condition("platform", "in", ["iOS", "iPhone"]), "/conditions/all/0/value/1"),
        (_condition("credential.api_key", "=", "a"), "/conditions/all/0/field"),
        ({"conditions": {"all": [], "any": []}}, "/conditions/any"),
        ({"conditions": {"some": []}}, "/conditions/some"),
        ({"conditions": {"all": [{"field": "country"}]}}, "/conditions/all/0/operator"),
        ({"conditions": []}, "/conditions"),
        ({"authentication": {"type": "bearer"}}, "/authentication/credential"),
        ({"authentication": {"type": "digest"}}, "/authentication/type"),
        ({"sign": "perhaps"}, "/sign"),
        ({"rate_limit_per_second": 0}, "/rate_limit_per_second"),
        ({"max_in_flight": -1}, "/max_in_flight"),
        ({"triggers": []}, "/triggers"),
        ({"triggers": ["x" * 65]}, "/triggers/0"),
        ({"triggers": ["  "]}, "/triggers/0"),
        ({"triggers": "purchase"}, "/triggers"),
        ({"event_map": {"purchase": {}}}, "/event_map/purchase"),
        ({"window_days": 0}, "/window_days"),
        ({"sampling_percent": 101}, "/sampling_percent"),
        ({"delay_seconds": -1}, "/delay_seconds"),
        ({"timeout_seconds": 16}, "/timeout_seconds"),
        ({"retry_delays": [0]}, "/retry_delays/0"),
        ({"retry_delays": [1] * 25}, "/retry_delays"),
        ({"success": {"codes": ["9xx"]}}, "/success"),
        ({"success": {"code": ["2xx"]}}, "/success/code"),
        ({"success": {"json_path": "data"}}, "/success/json_equals"),
        ({"success": {"final": [{"json_path": "a"}]}}, "/success"),
        ({"success": {"final": [{"json_path": "a", "equals": [{}]}]}}, "/success/final/0"),
        ({"success": {"retry": ["x"] * 21}}, "/success/retry"),
        ({"success": {"retry": [7]}}, "/success"),
        ({"success": {"json_path": "$..x", "json_equals": 1}}, "/success"),
        ({"frequency": "sometimes"}, "/frequency"),
        ({"attribution_scope": "partner"}, "/attribution_scope"),
        ({"attribution_scope": "partner", "status": "active"}, "/attribution_scope"),
        ({"method": "DELETE"}, "/method"),
        ({"status": "suspended"}, "/status"),
        ({"status": "archived"}, "/status"),
        ({"urll": "x"}, "/urll"),
        ({"version": 7}, "/version"),
    ],
)
def test_a_mistake_is_refused_at_its_place_and_nothing_is_saved(fields, pointer) -> None:
    api = owner_of(make.make_tenant())

    answer = api.post("callback-rules", {**DRAFT, **fields})

    assert (answer.status, answer.pointers()) == (400, [pointer]), answer.data
    assert api.rows("callback-rules") == []


def test_a_choice_that_there_is_not_is_answered_with_those_that_there_are() -> None:
    api = owner_of(make.make_tenant())
    sent = {
        "method": ("FETCH", "GET"),
        "frequency": ("sometimes", "every, first"),
        "body_type": ("xml", "none, form, json, raw"),
        "without_consent": ("ask", "send, strip, skip"),
        "missing_values": ("null", "empty, drop"),
        "attribution_scope": ("mine", "everyone, partner, partner_and_organic, any_attributed"),
    }

    answer = api.post("callback-rules", {**DRAFT, **{k: value for k, (value, _) in sent.items()}})

    details = {each["pointer"].removeprefix("/"): each["detail"] for each in answer.data["errors"]}
    assert details.keys() == sent.keys()
    for name, (value, choices) in sent.items():
        assert f"“{value}”" in details[name] or f'"{value}"' in details[name]
        assert choices in details[name]

    (scope,) = api.post("api-tokens", {"name": "A", "scopes": ["fly"]}).data["errors"]
    assert scope["pointer"] == "/scopes/0"
    assert "; send one of " in scope["detail"]


@pytest.mark.parametrize("missing", ["name", "url"])
def test_name_and_url_are_required(missing) -> None:
    fields = {name: value for name, value in DRAFT.items() if name != missing}

    answer = owner_of(make.make_tenant()).post("callback-rules", fields)

    assert (answer.status, answer.pointers()) == (400, [f"/{missing}"])


def test_operators_may_be_written_in_plain_characters() -> None:
    fields = {**DRAFT, **_condition("revenue", ">=", "5")}

    answer = owner_of(make.make_tenant()).post("callback-rules", fields)

    assert answer.data["conditions"] == _condition("revenue", "≥", "5")["conditions"]


def test_a_mistaken_condition_is_refused_with_the_nearest_name() -> None:
    fields = {**DRAFT, **_condition("contry", "=", "DE")}

    answer = owner_of(make.make_tenant()).post("callback-rules", fields)

    (error,) = answer.data["errors"]
    assert (error["suggestion"], error["position"]) == ("country", 0)
    assert error["detail"].endswith("Did you mean country?")


def test_a_change_makes_a_version_and_switching_on_does_not() -> None:
    api = owner_of(make.make_tenant())
    rule = api.post("callback-rules", DRAFT).data

    active = api.patch(f"callback-rules/{rule['id']}", {"status": "active"})
    changed = api.patch(f"callback-rules/{rule['id']}", {"method": "POST"})

    assert (active.data["version"], active.data["status"]) == (1, "active")
    assert (changed.data["version"], changed.data["status"]) == (2, "active")


def test_a_refused_change_changes_nothing() -> None:
    api = owner_of(make.make_tenant())
    rule = api.post("callback-rules", DRAFT).data

    answer = api.patch(f"callback-rules/{rule['id']}", {"url": "https://ads.example.com/{{x}}"})

    assert answer.status == 400
    assert api.get(f"callback-rules/{rule['id']}").data == rule


def test_a_suspended_rule_can_be_changed_and_switched_on_again() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    rule = api.post("callback-rules", DRAFT).data
    with tenant_of(tenant.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.SUSPENDED)

    changed = api.patch(f"callback-rules/{rule['id']}", {"status": "suspended", "method": "POST"})
    on = api.patch(f"callback-rules/{rule['id']}", {"status": "active"})

    assert (changed.status, changed.data["status"]) == (200, "suspended")
    assert (on.status, on.data["status"]) == (200, "active")


def test_an_archived_rule_frees_its_name_and_stays_as_it_was() -> None:
    api = owner_of(make.make_tenant())
    rule = api.post("callback-rules", DRAFT).data

    gone = api.delete(f"callback-rules/{rule['id']}")
    changed = api.patch(f"callback-rules/{rule['id']}", {"status": "active"})
    second = api.post("callback-rules", DRAFT)

    assert (gone.status, changed.status, second.status) == (204, 409, 201)
    assert [row["id"] for row in api.rows("callback-rules")] == [second.data["id"]]
    assert [row["id"] for row in api.rows("callback-rules", status="archived")] == [rule["id"]]


def test_what_is_left_out_of_success_has_its_default() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules", {**DRAFT, "success": {"body_contains": "ok"}}
    )

    assert answer.data["success"] == {
        "codes": ["2xx"],
        "body_contains": "ok",
        "json_path": None,
        "json_equals": None,
    }


def test_two_rules_of_one_name_are_refused_at_the_name() -> None:
    api = owner_of(make.make_tenant())
    api.post("callback-rules", DRAFT)

    answer = api.post("callback-rules", DRAFT)

    assert (answer.status, answer.pointers()) == (400, ["/name"])


def test_rules_are_filtered_by_their_fields() -> None:
    tenant = make.make_tenant()
    api = owner_of(tenant)
    partner = api.post("partners", {"name": "A"}).data["id"]
    app = str(tenant.app.public_id)
    matching = api.post(
        "callback-rules", {**DRAFT, "app": app, "partner": partner, "status": "paused"}
    ).data["id"]
    api.post("callback-rules", {**DRAFT, "name": "Other"})

    for query in ({"app": app}, {"partner": partner}, {"status": "paused"}, {"name": "Purchases"}):
        assert [row["id"] for row in api.rows("callback-rules", **query)] == [matching], query


def test_a_credential_is_sent_to_allowed_hosts_only() -> None:
    api = owner_of(make.make_tenant())
    partner = api.post(
        "partners",
        {"name": "A", "allowed_hosts": ["ads.example.com"], "credentials": {"api_key": "secret"}},
    ).data["id"]
    rule = {"name": "A", "partner": partner}

    allowed = api.post(
        "callback-rules", {**rule, "url": "https://ads.example.com/?k={{credential.api_key}}"}
    )
    elsewhere = api.patch(
        f"callback-rules/{allowed.data['id']}",
        {"url": "https://evil.example.com/?k={{credential.api_key}}"},
    )

    assert allowed.status == 201
    assert (elsewhere.status, elsewhere.pointers()) == (400, ["/url"])


def test_an_unknown_value_of_a_list_is_refused_with_the_nearest() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules", {**DRAFT, **_condition("currency", "=", "Euro")}
    )

    (error,) = answer.data["errors"]
    assert error["suggestion"] == "EUR"
    assert "“Euro” is no currency" in error["detail"]


def test_a_rule_that_was_saved_before_lists_were_checked_can_be_switched_off() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, **_condition("platform", "=", "iPhone"))
    path = f"callback-rules/{rule.public_id}"
    api = owner_of(made)

    paused = api.patch(path, {"status": "paused"})
    renamed = api.patch(path, {"name": "Renamed"})
    switched_on = api.patch(path, {"status": "active"})

    assert [paused.status, renamed.status, switched_on.status] == [200, 400, 400]
    assert renamed.pointers() == ["/conditions/all/0/value"]


def test_a_scope_that_needs_a_partner_is_refused_with_the_scope_that_needs_none() -> None:
    answer = owner_of(make.make_tenant()).post(
        "callback-rules", {**DRAFT, "attribution_scope": "partner"}
    )

    (error,) = answer.data["errors"]
    assert error["suggestion"] == "any_attributed"
    assert error["detail"].startswith("Choose the partner")


def test_a_rule_for_a_partner_that_was_saved_without_one_can_be_paused_and_mended() -> None:
    made = make.make_tenant()
    rule = make.make_tenant_rule(made, attribution_scope="partner")
    with tenant_of(made.organization.pk):
        partner = make.make_partner()
    path = f"callback-rules/{rule.public_id}"
    api = owner_of(made)

    paused = api.patch(path, {"status": "paused"})
    switched_on = api.patch(path, {"status": "active"})
    mended = api.patch(path, {"status": "active", "partner": str(partner.public_id)})

    assert [paused.status, switched_on.status, mended.status] == [200, 400, 200]


def test_a_save_says_what_would_go_wrong_unnoticed() -> None:
    api = owner_of(make.make_tenant())
    costly = {**DRAFT, "triggers": ["purchse"], "url": "https://ads.example.com/?c={{click_id}}"}

    saved = api.post("callback-rules", {**costly, "status": "active"})
    path = f"callback-rules/{saved.data['id']}"
    read = api.get(path)
    mended = api.patch(
        path, {**saved.data, "triggers": ["purchase"], "attribution_scope": "any_attributed"}
    )

    assert saved.status == 201
    assert [(row["field"], row["suggestion"]) for row in saved.data["problems"]] == [
        ("attribution_scope", "any_attributed"),
        ("url", "{{click_id!}}"),
        ("triggers.0", "purchase"),
    ]
    assert "problems" not in read.data
    assert (mended.status, "problems" in mended.data) == (200, False)
