"""The form of a callback rule: plain inputs, mistakes told beside them, a version a save."""

from datetime import UTC, datetime, timedelta

import pytest

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.models import (
    CallbackRule,
    CallbackRuleVersion,
    DuePostback,
    PostbackStatus,
    RuleStatus,
)
from tests import make
from tests.admin.pages import filled_form, sign_in, submit
from tests.database import as_role
from tests.insights.logs import make_attempt, make_postback

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/postbacks/callbackrule/"
ADD = f"{LIST}add/"
RULE = {
    "name": "Purchases to Unity Ads",
    "triggers": "purchase",
    "url": "https://ads.example.com/?e={{event_name}}",
}


def _only_rule(made: make.Tenant) -> CallbackRule:
    with tenant(made.organization.pk):
        return CallbackRule.objects.get()


def _page(rule: CallbackRule) -> str:
    return f"{LIST}{rule.pk}/change/"


def test_a_rule_is_saved_with_its_first_version_and_who_wrote_it() -> None:
    made = make.make_tenant()

    on = {"status": "active", "_anyway": "1"}
    submit(sign_in(made.owner), ADD, {**RULE, "triggers": "install, purchase", **on})

    rule = _only_rule(made)
    assert (rule.triggers, rule.status, rule.version) == (["install", "purchase"], "active", 1)
    with tenant(made.organization.pk):
        version = CallbackRuleVersion.objects.get()
        assert (version.number, version.saved_by) == (1, made.owner)
        assert version.definition["url"] == RULE["url"]


def test_an_address_that_was_pasted_is_read_as_meant_and_what_was_done_is_said() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    pasted = "Postback:\r\nhttps://ads.example.com/?a={{idfa}}&amp;b={{event_name}}"

    submit(browser, ADD, {**RULE, "url": pasted})

    assert _only_rule(made).url == "https://ads.example.com/?a={{idfa}}&b={{event_name}}"
    page = browser.get(LIST).content.decode()
    assert "The URL was read as it was meant. &amp;amp; and the like" in page


def test_plain_inputs_become_what_the_rule_keeps() -> None:
    made = make.make_tenant()

    submit(
        sign_in(made.owner),
        ADD,
        {
            **RULE,
            "triggers": " purchase ,registration, purchase",
            "event_map": "purchase = af_purchase\n\nregistration=af_reg",
            "headers": "X-Event: {{event_name}}\nX-Empty:",
            "success_codes": "200, 3XX",
            "body_contains": "ok",
            "json_path": "data.0.status",
            "json_equals": "0",
            "success_final": 'code = 40105, 40104\n\na.0 = "a, b", null\ncontains bad token',
            "success_retry": "code = later, 7",
            "retry_delays": "5, 30s, 2m, 1h",
        },
    )

    rule = _only_rule(made)
    assert rule.triggers == ["purchase", "registration"]
    assert rule.event_map == {"purchase": "af_purchase", "registration": "af_reg"}
    assert rule.headers == {"X-Event": "{{event_name}}", "X-Empty": ""}
    assert rule.success == {
        "codes": ["200", "3xx"],
        "body_contains": "ok",
        "json_path": "data.0.status",
        "json_equals": 0,
        "final": [
            {"json_path": "code", "equals": [40105, 40104]},
            {"json_path": "a.0", "equals": ["a, b", None]},
            {"body_contains": "bad token"},
        ],
        "retry": [{"json_path": "code", "equals": ["later", 7]}],
    }
    assert rule.retry_delays == [5, 30, 120, 3600]


@pytest.mark.parametrize("value", [7, 1.5, True, None, "ok", "0", "true", 'a "b"', "", " a"])
def test_opening_and_saving_a_rule_changes_nothing(value: object) -> None:
    made = make.make_tenant()
    success = {
        "codes": ["2xx"],
        "body_contains": " ok",
        "json_path": "a",
        "json_equals": value,
        "final": [{"json_path": "a", "equals": [value, "b"]}],
        "retry": [
            {"body_contains": str(value) or "x"},
            {"json_path": "b.0", "equals": ["a,b", value]},
        ],
    }
    with tenant(made.organization.pk):
        rule = make.make_rule(
            triggers=["install", "*"],
            event_map={"a b": "c = d"},
            headers={"X-Time": "12:30"},
            success=success,
            retry_delays=[1, 90, 5400, 86_400],
        )

    answer = submit(sign_in(made.owner), _page(rule), {})

    assert answer.status_code == 302
    saved = _only_rule(made)
    assert saved.version == 1
    assert saved.success == success


def test_what_the_api_wrote_and_nobody_touched_stays_as_it_is() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(
            triggers=["a,b", "c"],
            event_map={"a,b": "x", "c=d": "y"},
            method="POST",
            body_type="raw",
            body="\n a\nb \n",
        )
    browser = sign_in(made.owner)
    form = filled_form(browser.get(_page(rule)).content.decode())

    browser.post(_page(rule), {**form, "name": "Renamed", "body": "\r\n a\r\nb \r\n"})

    saved = _only_rule(made)
    assert saved.name == "Renamed"
    assert saved.triggers == ["a,b", "c"]
    assert saved.event_map == {"a,b": "x", "c=d": "y"}
    assert saved.body == "\n a\nb \n"


def test_a_rule_that_was_suspended_meanwhile_stays_so_unless_its_status_is_chosen() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.ACTIVE)
    browser = sign_in(made.owner)
    form = filled_form(browser.get(_page(rule)).content.decode())
    with tenant(made.organization.pk):
        CallbackRule.objects.update(status=RuleStatus.SUSPENDED)

    browser.post(_page(rule), {**form, "name": "Renamed"})
    untouched = _only_rule(made)
    submit(browser, _page(rule), {"status": RuleStatus.ACTIVE, "_anyway": "1"})

    assert (untouched.name, untouched.status) == ("Renamed", RuleStatus.SUSPENDED)
    assert _only_rule(made).status == RuleStatus.ACTIVE


def test_a_body_is_saved_with_the_line_ends_of_the_api() -> None:
    made = make.make_tenant()
    body = {"method": "POST", "body_type": "raw", "body": "a\r\nb\r\n"}

    submit(sign_in(made.owner), ADD, {**RULE, **body})

    assert _only_rule(made).body == "a\nb\n"


def test_a_change_makes_a_version_and_the_page_tells_what_changed() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, ADD, RULE)
    page = _page(_only_rule(made))

    submit(browser, page, {"url": "https://ads.example.com/second", "retry_delays": "90"})

    newest, oldest = browser.get(page).context["rule"].history
    changes = {change.title: (change.before, change.after) for change in newest.changes}
    assert (newest.number, newest.saved_by, oldest.changes) == (2, str(made.owner), ())
    assert changes["URL"] == (RULE["url"], "https://ads.example.com/second")
    assert changes["Try again after"][1] == "90s"
    assert changes.keys() == {"URL", "Try again after"}


def test_a_new_rule_is_a_draft_with_the_retry_schedule_filled_in() -> None:
    made = make.make_tenant()

    form = filled_form(sign_in(made.owner).get(ADD).content.decode())

    assert form["status"] == RuleStatus.DRAFT
    assert form["triggers"] == ""
    assert form["retry_delays"].startswith("5s, 30s, 2m, 10m, 30m, 1h")
    assert form["success_codes"] == "2xx"


@pytest.mark.parametrize(
    ("field", "changes", "words"),
    [
        ("url", {"url": "https://ads.example.com/?id={{advertisng_id}}"}, "advertising_id"),
        ("url", {"url": "https://ads.example.com/?id={{idfa"}, "never closed"),
        ("url", {"url": "http://169.254.169.254/latest/"}, "169.254.169.254"),
        ("url", {"url": ""}, "This field is required. Write the address"),
        ("headers", {"headers": "X-Key: {{idfaa}}"}, "X-Key: Unknown macro idfaa."),
        ("headers", {"headers": "X-Key: a\nno colon"}, "Line 2: write it as X-"),
        ("headers", {"headers": "X-Key: a\nX-Key: b"}, "Line 2: X-Key is there twice."),
        ("headers", {"headers": "X-Key: \x00"}, "Null characters are not allowed."),
        ("headers", {"headers": f"X-Key: {'a' * 9000}"}, "Line 1 is longer than 8192"),
        ("headers", {"headers": "Host: elsewhere"}, "Host is set by the connection"),
        ("body", {"method": "POST", "body_type": "json", "body": '{"a": {{revenu}}}'}, "revenue"),
        ("body", {"body_type": "raw", "body": "a"}, "GET requests carry no body."),
        ("event_map", {"event_map": "purchase"}, "Line 1: write it as purchase = af_purchase"),
        ("event_map", {"event_map": "purchase ="}, "Line 1: write it as"),
        ("triggers", {"triggers": ""}, "This field is required. Choose the events"),
        ("triggers", {"triggers": "a" * 65}, "is not a name of 1 to 64"),
        ("success_codes", {"success_codes": "all"}, "“all” is not a status"),
        ("success_codes", {"success_codes": "600"}, "“600” is not a status"),
        ("json_path", {"json_path": "$.a[*]", "json_equals": "1"}, "joined by dots"),
        ("json_path", {"json_equals": "1"}, "Write where in the answer to look"),
        ("json_equals", {"json_path": "a"}, "Write what the path must lead to"),
        ("json_equals", {"json_path": "a", "json_equals": "[1]"}, "Write a plain text"),
        ("json_equals", {"json_path": "a", "json_equals": "1e999"}, "The number is too large."),
        ("json_equals", {"json_path": "a", "json_equals": "9" * 30}, "The number is too large."),
        ("json_equals", {"json_path": "a", "json_equals": '"\\ud800"'}, "visible characters"),
        (
            "success_final",
            {"success_final": "a = 1\nbad token"},
            "Line 2: write it as code",
        ),
        ("success_final", {"success_final": "$..a = 1"}, "Line 1: json_path must be names"),
        ("success_retry", {"success_retry": "code = [1]"}, "Write a plain text"),
        ("success_retry", {"success_retry": "contains x\n" * 21}, "at most 20 lines"),
        ("retry_delays", {"retry_delays": "5,soon"}, "“soon” is not a wait"),
        ("retry_delays", {"retry_delays": "2d"}, "between 1 second and 24 hours"),
        ("retry_delays", {"retry_delays": "1," * 25}, "at most 24 waits; these are 25"),
        ("timeout_seconds", {"timeout_seconds": "16"}, "less than or equal to 15"),
        ("app", {"app": "987654321"}, "Select a valid choice"),
    ],
)
def test_what_is_wrong_is_said_beside_its_field(
    field: str, changes: dict[str, str], words: str
) -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, **changes})

    form = answer.context["adminform"].form
    assert list(form.errors) == [field]
    assert words in form.problems_of(field)[0].message
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()


def test_everything_that_is_wrong_is_said_at_once_and_all_that_was_typed_stays() -> None:
    made = make.make_tenant()
    typed = {
        "name": "",
        "triggers": "*",
        "url": "https://a.example/?x={{idfaa}}",
        "headers": "none",
        "status": "x",
    }

    answer = submit(sign_in(made.owner), ADD, typed)

    assert set(answer.context["adminform"].form.errors) == {"name", "url", "headers", "status"}
    again = filled_form(answer.content.decode())
    assert (again["url"], again["headers"]) == (typed["url"], typed["headers"])


def test_what_keeps_a_rule_from_being_saved_is_listed_with_links_to_the_fields() -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, "triggers": "", "headers": "none"})

    banner = answer.content.decode().split('id="rule-errors"')[1].split("</div>")[0]
    assert 'tabindex="-1"' in banner
    assert "Nothing was saved." in banner
    assert '<a class="pb-link" href="#id_triggers">Events</a>: This field is required.' in banner
    assert '<a class="pb-link" href="#id_headers">Headers</a>: Line 1' in banner


def test_a_look_at_a_rule_is_no_failure_to_save() -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, "headers": "none", "_preview": "1"})

    assert 'id="rule-errors"' not in answer.content.decode()


def test_a_remark_stands_beside_the_field_and_keeps_nothing_from_being_saved() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    submit(browser, ADD, {**RULE, "url": "https://a.example/?x=[CLICK_ID]", "headers": "X: %idfa%"})

    html = browser.get(_page(_only_rule(made))).content.decode()
    assert "<p>[CLICK_ID] is sent as it stands. Use {{click_id}}.</p>" in html
    assert "<p>X: %idfa% is sent as it stands. Use {{idfa}}.</p>" in html
    assert html.count("is sent as it stands") == 4


def test_the_piece_that_is_wrong_is_marked() -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, "url": "https://a.example/?i={{idfaa}}&b=1"})

    page = answer.content.decode()
    assert "https://a.example/?i={{<mark>idfaa</mark>}}&amp;b=1" in page.replace(
        "<mark>{{idfaa}}</mark>", "{{<mark>idfaa</mark>}}"
    )


def test_what_is_folded_away_opens_when_it_is_set_or_wrong() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)

    fresh = browser.get(ADD).context["rule"]
    wrong = submit(browser, ADD, {**RULE, "headers": "none"}).context["rule"]
    sampled = submit(browser, ADD, {**RULE, "sampling_percent": "10", "name": ""}).context["rule"]

    def opened(page) -> list[str]:
        return [
            group.title
            for s in page.sections
            for group in s.groups
            if group.title and group.is_open
        ]

    assert opened(fresh) == []
    assert opened(wrong) == ["Headers and body"]
    assert opened(sampled) == ["More: whose installs, event map, window, sampling, delay"]


def test_an_emptied_map_is_an_empty_object() -> None:
    made = make.make_tenant()

    submit(sign_in(made.owner), ADD, {**RULE, "event_map": "", "headers": ""})

    rule = _only_rule(made)
    assert (rule.event_map, rule.headers) == ({}, {})


def test_a_credential_without_a_partner_is_refused() -> None:
    made = make.make_tenant()

    answer = submit(
        sign_in(made.owner),
        ADD,
        {**RULE, "url": "https://ads.example.com/?k={{credential.api_key}}"},
    )

    assert list(answer.context["adminform"].form.errors) == ["url"]


def test_a_name_that_another_rule_has_is_refused() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    submit(browser, ADD, RULE)

    answer = submit(browser, ADD, RULE)

    assert "Another rule has this name." in answer.content.decode()


def test_people_choose_draft_active_or_paused_only() -> None:
    made = make.make_tenant()

    answer = submit(sign_in(made.owner), ADD, {**RULE, "status": RuleStatus.SUSPENDED})

    assert list(answer.context["adminform"].form.errors) == ["status"]


def test_a_suspended_rule_shows_its_state_and_can_be_switched_on() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.SUSPENDED)
    browser = sign_in(made.owner)

    form = filled_form(browser.get(_page(rule)).content.decode())
    submit(browser, _page(rule), {"status": RuleStatus.ACTIVE, "_anyway": "1"})

    assert form["status"] == RuleStatus.SUSPENDED
    assert _only_rule(made).status == RuleStatus.ACTIVE


def test_a_suspended_rule_says_why_since_when_and_what_waits() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.SUSPENDED)
    at = datetime.now(UTC) - timedelta(hours=2)
    gone = make_postback(made, rule, at=at, status=PostbackStatus.FAILED, attempts_made=1)
    make_attempt(made, gone, status_code=410, error="http_410")
    with as_role(roles.WORKER), tenant(made.organization.pk):
        DuePostback.objects.create(
            postback=gone, event_received_at=at, rule=rule, host="a.example", due_at=at
        )

    html = sign_in(made.owner).get(_page(rule)).content.decode()

    words = " ".join(html.split())
    assert "This rule is suspended: it sends nothing." in words
    assert f"gone for good, on {at:%b} {at.day}, {at:%Y, %H:%M}." in words
    assert "1 postback waits to be sent." in words
    assert f"/admin/postbacks/postback/?rule={rule.pk}&amp;time=7d" in words
    assert "set the status to <strong>Active</strong> and save" in words


def test_a_rule_that_sends_has_no_such_banner() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.ACTIVE)

    html = sign_in(made.owner).get(_page(rule)).content.decode()

    assert "This rule is suspended" not in html


def test_rules_are_paused_and_switched_on_from_the_list_after_asking() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule()
    browser = sign_in(made.owner)

    response = browser.post(LIST, {"action": "pause", "_selected_action": rule.pk})
    before = _only_rule(made).status
    sure = {"_selected_action": rule.pk, "confirmed": "yes"}
    browser.post(LIST, {"action": "pause", **sure})
    paused = _only_rule(made).status
    browser.post(LIST, {"action": "switch_on", **sure})

    assert "Pause these callback rules?" in response.content.decode()
    assert (before, paused) == (RuleStatus.ACTIVE, RuleStatus.PAUSED)
    assert _only_rule(made).status == RuleStatus.ACTIVE


def test_what_becomes_of_postbacks_that_wait_is_said_before_and_after() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule(status=RuleStatus.ACTIVE)
    browser = sign_in(made.owner)
    asked = {"action": "archive", "_selected_action": rule.pk}

    assert "Postbacks that wait are skipped" in browser.post(LIST, asked).content.decode()
    submit(browser, _page(rule), {"url": "https://ads.example.com/a"})
    assert "go to the new address" not in browser.get(_page(rule)).content.decode()

    at = datetime.now(UTC)
    retried = make_postback(made, rule, at=at, status=PostbackStatus.PENDING, attempts_made=1)
    with as_role(roles.WORKER), tenant(made.organization.pk):
        DuePostback.objects.create(
            postback=retried, event_received_at=at, rule=rule, host="a.example", due_at=at
        )
    submit(browser, _page(rule), {"name": "Renamed"})
    assert "go to the new address" not in browser.get(_page(rule)).content.decode()
    submit(browser, _page(rule), {"url": "https://ads.example.com/b"})
    assert "Retries that wait go to the new address." in browser.get(_page(rule)).content.decode()
    submit(browser, _page(rule), {"status": RuleStatus.PAUSED})
    paused = browser.get(_page(rule)).content.decode()
    assert "Postbacks that wait stay until you switch it on." in paused
    archiving = browser.post(LIST, asked).content.decode()
    assert "Of their postbacks, 1 waits and is skipped, with the reason rule_archived." in archiving


def test_a_rule_that_may_not_be_sent_is_not_switched_on() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule("http://169.254.169.254/", status=RuleStatus.PAUSED)

    answer = sign_in(made.owner).post(
        LIST,
        {"action": "switch_on", "_selected_action": rule.pk, "confirmed": "yes"},
        follow=True,
    )

    assert "169.254.169.254" in answer.content.decode()
    assert _only_rule(made).status == RuleStatus.PAUSED


def test_the_list_says_in_words_whose_events_are_sent() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        make.make_rule(triggers=["*"])
        make.make_rule(triggers=["a", "b", "c", "d", "<e>", "f"], app=made.app)

    page = sign_in(made.owner).get(LIST).content.decode()

    assert "any event" in page
    assert "All apps" in page
    assert "2 more" in page


def test_an_analyst_reads_a_rule_in_words_and_writes_nothing() -> None:
    made = make.make_tenant()
    with tenant(made.organization.pk):
        rule = make.make_rule("https://ads.example.com/?e={{event_name}}", retry_delays=[5, 120])
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    page = analyst.get(_page(rule))
    refused = analyst.post(_page(rule), {"name": "Mine", "_preview": "1"})

    lines = {row.title: row.text for row in page.context["rule"].rows}
    assert (lines["Status"], lines["Try again after"]) == ("Active", "5s, 2m")
    assert page.context["rule"].preview.request.url == "https://ads.example.com/?e=purchase"
    assert 'name="url"' not in page.content.decode()
    assert refused.status_code == 403


def test_a_rule_of_before_can_be_paused_and_says_what_is_wrong_when_it_is_changed() -> None:
    made = make.make_tenant()
    line = {"field": "platform", "operator": "=", "value": "iPhone"}
    rule = make.make_tenant_rule(made, conditions={"all": [line]})
    browser = sign_in(made.owner)

    paused = submit(browser, _page(rule), {"status": "paused"})
    renamed = submit(browser, _page(rule), {"name": "Renamed"})

    assert paused.status_code == 302
    assert _only_rule(made).status == RuleStatus.PAUSED
    assert "“iPhone” is no platform" in renamed.content.decode()
