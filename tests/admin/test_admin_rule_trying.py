"""Beside a rule's form: a test send, a dry run, and the question before a rule is switched on."""

import html
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from threading import BoundedSemaphore
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client

from apps_registry.models import AuditEntry
from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.delivery.http.destinations import parse_networks
from postbacks.infrastructure.database import roles
from postbacks.models import (
    CallbackRule,
    DryRunJob,
    Event,
    Postback,
    RuleStatus,
    WorkerHeartbeat,
)
from postbacks.rulebook import dry_run, test_send
from tests import make
from tests.admin.pages import filled_form, sign_in, submit
from tests.api.calling import report
from tests.database import as_role
from tests.delivery.partner_server import Partners

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("test_worker"),
]

LIST = "/admin/postbacks/callbackrule/"
ADD = f"{LIST}add/"
TEST, DRY_RUN = f"{LIST}test/", f"{LIST}dry-run/"
OK = b"HTTP/1.1 200 OK\r\nX-Partner: yes\r\nContent-Length: 4\r\n\r\nfine"
BROKEN = b"HTTP/1.1 500 Oh\r\nContent-Length: 4\r\n\r\noops"


@pytest.fixture
def partners(settings: Any) -> Iterator[Partners]:
    settings.ALLOW_PRIVATE_DESTINATIONS = parse_networks("127.0.0.0/8")
    started = Partners()
    yield started
    started.stop()


def _rule(made: make.Tenant, url: str, **fields: object) -> CallbackRule:
    with tenant(made.organization.pk):
        return make.make_rule(url, **{"status": RuleStatus.DRAFT, **fields})


def _page(rule: CallbackRule) -> str:
    return f"{LIST}{rule.pk}/change/"


def _try(
    browser: Client, to: str, rule: CallbackRule | None = None, **changes: object
) -> HttpResponse:
    """Press a button of the form: with `_live` as the script does, without as a browser does."""
    page = _page(rule) if rule else ADD
    form = filled_form(browser.get(page).content.decode())
    return browser.post(f"{to}?rule={rule.pk}" if rule else to, {**form, **changes})


def _saved(made: make.Tenant) -> CallbackRule:
    with tenant(made.organization.pk):
        return CallbackRule.objects.get()


def _tests(made: make.Tenant) -> list[Postback]:
    with tenant(made.organization.pk):
        return list(Postback.objects.filter(test=True))


def test_a_saved_rule_is_tested_and_the_answer_shown_beside_it(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url("/?e={{event_name}}"), triggers=["purchase"])

    answer = _try(sign_in(made.owner), TEST, rule, _live="1")

    text = answer.content.decode()
    assert partner.requests[0].startswith(b"GET /?e=purchase ")
    assert "HTTP 200" in text
    assert "fine" in text
    assert "X-Partner: yes" in text
    assert "What counts is a status of 2xx." in text
    (logged,) = _tests(made)
    assert f"/admin/postbacks/postback/{logged.pk}/change/" in text


def test_without_scripts_the_whole_form_comes_back_and_still_saves(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url())
    browser = sign_in(made.owner)

    answer = _try(browser, TEST, rule, name="Renamed")

    text = answer.content.decode()
    assert "HTTP 200" in text
    assert "Nothing has been saved yet." in text
    assert filled_form(text)["name"] == "Renamed"
    assert f'action="{_page(rule)}"' in text
    assert _saved(made).name == rule.name


def test_what_is_not_saved_is_sent_and_not_logged(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)

    answer = _try(
        sign_in(made.owner), TEST, triggers="purchase", url=partner.url("/new"), _live="1"
    )

    assert partner.requests[0].startswith(b"GET /new ")
    assert "Not in the delivery log" in answer.content.decode()
    assert _tests(made) == []
    with tenant(made.organization.pk):
        assert AuditEntry.objects.filter(action="tested").count() == 1


def test_changes_that_are_not_saved_are_what_is_sent(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url("/old"))

    _try(sign_in(made.owner), TEST, rule, url=partner.url("/new"), _live="1")

    assert partner.requests[0].startswith(b"GET /new ")
    assert _tests(made) == []
    assert _saved(made).url == partner.url("/old")


def test_the_chosen_event_is_sent(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url("/?l={{params.level}}"))
    report(made.sdk_key, params={"level": 9})
    browser = sign_in(made.owner)
    with tenant(made.organization.pk):
        event = Event.objects.get()

    _try(browser, TEST, rule, preview_event=str(event.pk), _live="1")

    assert partner.requests[0].startswith(b"GET /?l=9 ")


def test_an_answer_that_takes_longer_appears_by_itself_and_counts_as_a_test(
    partners: Partners, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    monkeypatch.setattr(test_send, "_waiters", lambda: BoundedSemaphore(0))  # none may wait
    browser = sign_in(made.owner)
    new = {"name": "New", "triggers": "purchase", "url": partner.url()}

    waiting = _try(browser, TEST, **new, _live="1").content.decode()
    address = html.unescape(re.search('data-follow="([^"]+)"', waiting)[1])
    text = waiting
    while "data-follow" in text:
        text = browser.get(address).content.decode()
    page = browser.get(address.replace("&_live=1", "")).content.decode()
    stranger = sign_in(make.make_tenant().owner).get(address).content.decode()
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))
    saved = submit(browser, ADD, {**new, "status": "active"})

    assert re.search("Waiting for the (worker…|partner&#x27;s answer…)", waiting)
    assert "HTTP 200" in text
    assert "HTTP 200" in page
    assert "Test send" in page
    assert "Send the test again." in stranger
    assert "HTTP" not in stranger
    assert analyst.get(address).status_code == 403
    assert saved.status_code == 302  # no question: it was seen to work


def test_without_a_worker_the_page_says_what_to_do(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    with as_role(roles.WORKER):
        WorkerHeartbeat.objects.all().delete()

    answer = _try(
        sign_in(made.owner), TEST, triggers="purchase", url=partner.url(), _live="1"
    ).content.decode()

    assert "No worker is running, so nothing can be sent." in answer
    assert "python manage.py worker" in answer
    assert partner.requests == []


def test_what_is_wrong_is_not_sent(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)

    answer = _try(
        sign_in(made.owner), TEST, triggers="purchase", url=partner.url("/?{{idffa}}"), _live="1"
    )

    assert "Nothing was sent." in answer.content.decode()
    assert "Correct first: URL." in answer.content.decode()
    assert partner.requests == []


def test_an_analyst_can_not_test(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url())
    analyst = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    answers = [
        analyst.post(f"{to}?rule={rule.pk}", {"url": partner.url()}).status_code
        for to in (TEST, DRY_RUN)
    ]

    assert answers == [403, 403]
    assert "Send a test" not in analyst.get(_page(rule)).content.decode()
    assert partner.requests == []


def test_another_organizations_rule_can_not_be_tested(partners: Partners) -> None:
    made, other = make.make_tenant(), make.make_tenant("Merge Meadow")
    partner = partners.answering(OK)
    rule = _rule(other, partner.url())
    browser = sign_in(made.owner)

    answers = [
        browser.post(f"{to}?rule={rule.pk}", {"url": partner.url()}).status_code
        for to in (TEST, DRY_RUN)
    ]

    assert answers == [404, 404]
    assert partner.requests == []


def test_an_untested_rule_is_asked_about_before_it_is_switched_on() -> None:
    made = make.make_tenant()
    browser = sign_in(made.owner)
    new = {"name": "New", "triggers": "purchase", "url": "https://ads.example.com/"}

    response = submit(browser, ADD, {**new, "status": "active"})

    text = response.content.decode()
    assert "Not tested yet." in text
    assert "Please correct" not in text
    with tenant(made.organization.pk):
        assert not CallbackRule.objects.exists()

    anyway = browser.post(ADD, {**filled_form(text), "_anyway": "1"})

    assert anyway.status_code == 302
    assert _saved(made).status == RuleStatus.ACTIVE


def test_a_tested_rule_is_switched_on_without_a_question(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url())
    browser = sign_in(made.owner)
    _try(browser, TEST, rule, _live="1")

    answer = submit(browser, _page(rule), {"status": "active", "sampling_percent": "50"})

    assert answer.status_code == 302
    assert _saved(made).status == RuleStatus.ACTIVE


def test_a_test_of_what_was_not_saved_counts_once_it_is_saved(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    browser = sign_in(made.owner)
    new = {"name": "New", "triggers": "purchase", "url": partner.url()}
    _try(browser, TEST, **new, _live="1")

    answer = submit(browser, ADD, {**new, "status": "active"})

    assert answer.status_code == 302
    rule = _saved(made)
    assert rule.status == RuleStatus.ACTIVE
    with tenant(made.organization.pk):
        assert rule.versions.get().tested_at is not None


def test_a_test_that_failed_or_of_another_request_does_not_count(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(BROKEN, OK)
    rule = _rule(made, partner.url())
    browser = sign_in(made.owner)

    _try(browser, TEST, rule, _live="1")
    after_failure = submit(browser, _page(rule), {"status": "active"})
    _try(browser, TEST, rule, _live="1")
    changed = submit(browser, _page(rule), {"status": "active", "url": partner.url("/other")})

    assert "Not tested yet." in after_failure.content.decode()
    assert "Not tested yet." in changed.content.decode()
    assert _saved(made).status == RuleStatus.DRAFT


def test_the_list_says_which_rules_are_untested_before_it_switches_them_on() -> None:
    made = make.make_tenant()
    rule = _rule(made, "https://ads.example.com/", name="Purchases")
    browser = sign_in(made.owner)
    chosen = {"action": "switch_on", "_selected_action": rule.pk}

    response = browser.post(LIST, chosen)
    browser.post(LIST, {**chosen, "confirmed": "yes"})

    assert "Not tested yet: Purchases." in response.content.decode()
    assert _saved(made).status == RuleStatus.ACTIVE


@pytest.mark.parametrize("live", [{"_live": "1"}, {}])
def test_a_dry_run_counts_and_shows_examples(live: dict[str, str]) -> None:
    made = make.make_tenant()
    rule = _rule(made, "https://ads.example.com/?e={{event_name}}", triggers=["purchase"])
    report(made.sdk_key)
    report(made.sdk_key, event_name="open")

    answer = _try(sign_in(made.owner), DRY_RUN, rule, dry_run_hours="1", **live)

    text = answer.content.decode()
    assert "<strong>1 postback</strong> for 2 events of the last hour." in text
    assert "Another event" in text
    assert "GET https://ads.example.com/?e=purchase" in text


def test_a_dry_run_asks_the_form_as_it_stands() -> None:
    made = make.make_tenant()
    report(made.sdk_key, event_name="level_up")

    answer = _try(
        sign_in(made.owner), DRY_RUN, triggers="level_up", url="https://ads.example.com/", _live="1"
    )

    assert "<strong>1 postback</strong>" in answer.content.decode()


def test_a_dry_run_in_the_background_is_followed_and_cancelled_beside_the_form(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dry_run, "_SECONDS_AT_ONCE", 0.0)
    made = make.make_tenant()
    rule = _rule(made, "https://ads.example.com/?e={{event_name}}", triggers=["purchase"])
    report(made.sdk_key)
    report(made.sdk_key)
    browser = sign_in(made.owner)
    with as_role(roles.WORKER):
        WorkerHeartbeat.objects.all().delete()

    begun = [_try(browser, DRY_RUN, rule, _live="1").content.decode() for _ in range(2)]
    first, second = (html.unescape(re.search('data-follow="([^"]+)"', text)[1]) for text in begun)
    third = _try(browser, DRY_RUN, rule, _live="1").content.decode()
    cancel = re.search('name="_cancel"[^>]* formaction="([^"]+)"', begun[1])[1]
    cancelled = browser.post(cancel, {"_live": "1"}).content.decode()
    with as_role(roles.WORKER):
        dry_run.work()
    ended = browser.get(first).content.decode()

    assert "Waiting for the worker…" in begun[0]
    assert "No worker is running" in begun[0]
    assert "2 dry runs of this organization are under way" in third
    assert "Cancelled." in cancelled
    assert "No event was tried." in cancelled
    assert "No event was tried." in browser.get(second).content.decode()
    assert "data-follow" not in ended
    assert "<strong>2 postbacks</strong> for 2 events of the last 24 hours." in ended
    assert "GET https://ads.example.com/?e=purchase" in ended


def test_a_dry_run_whose_time_is_over_shows_what_it_reached() -> None:
    made = make.make_tenant()
    rule = _rule(made, "https://ads.example.com/")
    now = datetime.now(UTC)
    with tenant(made.organization.pk):
        job = DryRunJob.objects.create(
            rule=rule,
            definition={},
            since=now - timedelta(hours=24),
            created_at=now,
            finished_at=now,
            out_of_time=True,
            total=1_200,
            done=1_000,
            is_complete=False,
            would_send=700,
            not_matched={"trigger": 300},
        )

    page = sign_in(made.owner).get(f"{DRY_RUN}?job={job.public_id}").content.decode()

    assert "The 45 seconds of a dry run are over." in page
    assert "1,000 of 1,200 events were tried, the oldest first." in page
    assert "<strong>700 postbacks</strong> for 1,000 events of the last 24 hours." in page
    assert "a device in one of them has been forgotten" in page  # else it had examples
    assert _page(rule) in page


def test_a_dry_run_without_events_says_so() -> None:
    made = make.make_tenant()
    rule = _rule(made, "https://ads.example.com/")

    answer = _try(sign_in(made.owner), DRY_RUN, rule, _live="1")

    assert "No event arrived in the last 24 hours." in answer.content.decode()


def test_a_test_is_marked_in_the_delivery_log_and_can_be_left_out(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url())
    browser = sign_in(made.owner)
    _try(browser, TEST, rule, _live="1")
    log = "/admin/postbacks/postback/"
    (postback,) = _tests(made)

    page = browser.get(f"{log}{postback.pk}/change/").content.decode()

    assert 'class="pb-badge">Test' in browser.get(log).content.decode()
    assert 'class="pb-badge">Test' in browser.get(log, {"test": "only"}).content.decode()
    assert 'class="pb-badge">Test' not in browser.get(log, {"test": "no"}).content.decode()
    assert "A test send, which counts nowhere. The partner took it." in page


def test_a_rule_is_switched_on_by_a_button_which_leads_to_its_log(partners: Partners) -> None:
    made = make.make_tenant()
    rule = _rule(made, partners.answering(OK).url("/"))
    browser = sign_in(made.owner)
    page = f"{LIST}{rule.pk}/change/"
    form = filled_form(browser.get(page).content.decode())

    response = browser.post(page, {**form, "_switch_on": "1"})
    browser.post(f"{TEST}?rule={rule.pk}", {**form, "_live": "1"})
    done = browser.post(page, {**form, "_switch_on": "1"})

    assert "Not tested yet." in response.content.decode()
    assert done.headers["Location"] == f"/admin/postbacks/postback/?rule={rule.pk}"
    with tenant(made.organization.pk):
        rule.refresh_from_db()
    assert rule.status == RuleStatus.ACTIVE
    assert 'name="_switch_on"' not in browser.get(page).content.decode()


@pytest.mark.parametrize("live", [{"_live": "1"}, {}])
def test_what_would_be_skipped_is_sent_at_the_second_press_and_marked(
    partners: Partners, live: dict[str, str]
) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    rule = _rule(made, partner.url("/?g={{gaid!}}"), triggers=["purchase"])
    browser = sign_in(made.owner)

    first = _try(browser, TEST, rule, **live).content.decode()

    assert partner.requests == []
    assert "Nothing was sent." in first
    assert "{{gaid}} has no value" in first
    assert 'name="_even_if_skipped"' in first
    assert (
        f'formaction="{TEST}?rule={rule.pk}#test"' in first.partition('id="test-answer"')[2] or live
    )

    second = _try(browser, TEST, rule, _even_if_skipped="1", **live).content.decode()

    assert partner.requests[0].startswith(b"GET /?g= ")
    assert "HTTP 200" in second
    assert "Would be skipped" in second
    assert "does not count as a test" in second
    (postback,) = _tests(made)
    page = browser.get(f"/admin/postbacks/postback/{postback.pk}/change/").content.decode()
    assert "This event would be skipped: {{gaid}} has no value" in page


def test_what_would_be_skipped_does_not_count_as_tested(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    browser = sign_in(made.owner)
    new = {"name": "New", "triggers": "purchase", "url": partner.url("/?g={{gaid!}}")}
    _try(browser, TEST, **new, _even_if_skipped="1", _live="1")

    answer = submit(browser, ADD, {**new, "status": "active"})

    assert len(partner.requests) == 1
    assert "Not tested yet." in answer.content.decode()


def test_an_archived_partners_test_offers_no_second_press(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    with tenant(made.organization.pk):
        receiver = make.make_partner()
    rule = _rule(made, partner.url(), partner=receiver)
    with tenant(made.organization.pk):
        receiver.status = "archived"
        receiver.save()

    answer = _try(sign_in(made.owner), TEST, rule, _even_if_skipped="1", _live="1")

    assert "Nothing was sent." in answer.content.decode()
    assert "_even_if_skipped" not in answer.content.decode()
    assert partner.requests == []


def test_a_name_that_is_taken_is_named_in_place_of_a_test(partners: Partners) -> None:
    made, partner = make.make_tenant(), partners.answering(OK)
    _rule(made, partner.url(), name="Purchases")

    answer = _try(
        sign_in(made.owner),
        TEST,
        name="Purchases",
        triggers="install",
        url=partner.url(),
        _live="1",
    )

    assert "Correct first: the rule" not in answer.content.decode()
    assert "Nothing was sent." in answer.content.decode()
    assert "name" in answer.content.decode().partition("Nothing was sent.")[2]
    assert partner.requests == []


@pytest.mark.parametrize(
    ("field", "line", "says"),
    [
        ("headers", "X-{}: 1", "These are 20,000 lines; write at most 20."),
        ("event_map", "e{0} = f{0}", "These are 20,000 lines; write at most 1,000."),
    ],
)
def test_what_is_too_much_for_a_rule_is_refused_before_it_is_looked_at(
    field: str, line: str, says: str
) -> None:
    """Each header was looked for in all of the text, for 50 seconds."""
    browser = sign_in(make.make_tenant().owner)
    lines = "\n".join(line.format(number) for number in range(20_000))
    sent = {"triggers": "purchase", "url": "https://a.example/", field: lines, "_live": "1"}

    preview = browser.post(f"{LIST}preview/", sent).content.decode()
    tested = browser.post(TEST, sent).content.decode()

    assert says in preview
    assert "Nothing was sent." in tested
