"""The filters of the logs: each finds its rows, and what can't be read is said beside its field."""

import uuid
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import pytest

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.roles import WORKER
from postbacks.models import CallbackRule, Install, Postback, PostbackStatus
from tests import make
from tests.admin.logs import LOG, add_postbacks, link, seconds_ago, shown_ids
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.story import Story, live_through

INSTALLS = "/admin/postbacks/install/"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("fields", "question"),
    [
        ({"status": PostbackStatus.PENDING}, {"status": "pending"}),
        ({"status": PostbackStatus.SKIPPED}, {"status": "skipped"}),
        ({"event_name": "tutorial"}, {"event": "tutorial"}),
        ({"last_status_code": 503}, {"code": "503"}),
        ({"last_status_code": 599}, {"code": "5xx"}),
        ({"last_status_code": 404}, {"code": "4XX"}),
        ({"last_status_code": None}, {"code": "none"}),
    ],
)
def test_a_filter_finds_its_rows(
    story: Story, fields: dict[str, object], question: dict[str, str]
) -> None:
    add_postbacks(story, seconds_ago(3_000))
    (wanted,) = add_postbacks(story, seconds_ago(2_000), **fields)
    browser = sign_in(story.tenant.owner)

    assert shown_ids(browser, f"{LOG}?{urlencode(question)}") == [wanted.pk]


def test_rule_app_and_partner_find_their_rows(story: Story) -> None:
    with tenant(story.organization_id):
        partner = make.make_partner()
        rule = make.make_rule(partner=partner)
        app = story.tenant.app
    (wanted,) = add_postbacks(story, seconds_ago(2_000), rule_id=rule.pk)
    browser = sign_in(story.tenant.owner)

    assert shown_ids(browser, f"{LOG}?rule={rule.pk}") == [wanted.pk]
    assert shown_ids(browser, f"{LOG}?partner={partner.pk}") == [wanted.pk]
    assert shown_ids(browser, f"{LOG}?app={app.pk}") == [*story.keys[Postback], wanted.pk]


@pytest.mark.parametrize(("time", "found"), [("1h", 1), ("24h", 2), ("7d", 2), ("30d", 2), ("", 2)])
def test_recent_stretches_of_time(story: Story, time: str, found: int) -> None:
    add_postbacks(story, seconds_ago(20 * 3600))
    browser = sign_in(story.tenant.owner)

    assert len(shown_ids(browser, f"{LOG}?time={time}")) == found


def test_moments_are_in_the_organizations_zone_and_the_end_is_left_out(story: Story) -> None:
    story.tenant.organization.time_zone = "Asia/Tokyo"
    story.tenant.organization.save()
    (moment,) = seconds_ago(2_000)
    (wanted,) = add_postbacks(story, [moment])
    local = moment.astimezone(ZoneInfo("Asia/Tokyo")).strftime("%Y-%m-%dT%H:%M:%S")
    browser = sign_in(story.tenant.owner)

    page = browser.get(LOG, {"since": local}).content.decode()
    assert wanted.pk in shown_ids(browser, f"{LOG}?since={local}")
    assert wanted.pk not in shown_ids(browser, f"{LOG}?until={local}")
    assert wanted.pk in shown_ids(browser, f"{LOG}?since={moment.isoformat()}")
    assert f'value="{local}"' in page


@pytest.mark.parametrize(
    "question",
    [
        {"status": "gone"},
        {"app": "x"},
        {"rule": "99999999999999999999999"},
        {"partner": "\0"},
        {"code": "abc"},
        {"code": "999"},
        {"time": "1y"},
        {"since": "yesterday"},
        {"since": "0001-01-01T00:00"},
        {"until": "9999-12-31T23:59:59-23:00"},
        {"since": "2026-02-01T00:00", "until": "2026-01-01T00:00"},
        {"event": "\0"},
        {"event": "x" * 300},
        {"q": "purchase"},
        {"q": "\0"},
    ],
)
def test_what_can_not_be_read_is_said_beside_the_field(
    story: Story, question: dict[str, str]
) -> None:
    page = sign_in(story.tenant.owner).get(LOG, question)

    assert page.status_code == 200
    assert 'class="pl-error"' in page.content.decode()
    assert page.context["cl"].result_count == 0


@pytest.mark.parametrize(
    ("page", "question", "words"),
    [
        ("postback", {"status": "gone"}, "“gone” is no status. Choose one of: Pending, Delivered,"),
        ("postback", {"time": "1y"}, "“1y” is no stretch of time. Choose one of: Last hour,"),
        ("postback", {"rule": "0"}, "There is no such rule. Choose one of the list."),
        ("postback", {"event": "x" * 65}, "Write at most 64 characters."),
        ("event", {"platform": "ps5"}, "“ps5” is no platform. Choose one of: iOS, Android,"),
        ("deliveryattempt", {"outcome": "x"}, "“x” is no outcome. Choose one of: Delivered,"),
    ],
)
def test_a_refusal_says_what_can_be_chosen(
    story: Story, page: str, question: dict[str, str], words: str
) -> None:
    answer = sign_in(story.tenant.owner).get(f"/admin/postbacks/{page}/", question)

    assert words in answer.content.decode()


def test_installs_are_listed_by_arrival_and_found_by_time(story: Story) -> None:
    arrived = seconds_ago(7_200, 90_000)
    with as_role(WORKER), tenant(story.organization_id):
        first = Install.objects.get()
        older, oldest = (
            Install.objects.create(
                app_id=first.app_id,
                device=f"device-of-{moment}",
                installed_at=moment,
                event_ref=first.event_ref,
                event_received_at=moment,
            )
            for moment in arrived
        )
    browser = sign_in(story.tenant.owner)

    found = {
        time: [
            row.pk
            for row in browser.get(INSTALLS, {"time": time, "app": app}).context["cl"].page.rows
        ]
        for time, app in (("", ""), ("24h", ""), ("1h", first.app_id))
    }

    assert found == {
        "": [first.pk, older.pk, oldest.pk],
        "24h": [first.pk, older.pk],
        "1h": [first.pk],
    }


@pytest.mark.parametrize("name", ["id__exact", "organization", "o", "p", "all", "_facets", "e"])
def test_what_the_address_holds_besides_is_not_looked_at(story: Story, name: str) -> None:
    browser = sign_in(story.tenant.owner)

    assert shown_ids(browser, f"{LOG}?{name}=%00zzz") == story.keys[Postback]


def test_another_organizations_rows_are_no_choice(story: Story) -> None:
    other = live_through("Other")
    page = sign_in(story.tenant.owner).get(LOG, {"rule": other.keys[CallbackRule][0]})

    assert 'class="pl-error"' in page.content.decode()


def test_the_filters_stay_in_the_address_of_every_page(story: Story) -> None:
    add_postbacks(story, seconds_ago(*range(60, 180)))
    browser = sign_in(story.tenant.owner)

    html = browser.get(LOG, {"status": "delivered", "time": "24h", "utm": "x"}).content.decode()

    older = link(html, "next") or ""
    assert "status=delivered" in older
    assert "time=24h" in older
    assert "utm" not in older
    assert "next=%2Fadmin%2Fpostbacks%2Fpostback%2F%3Fstatus%3Ddelivered" in html


def test_an_active_filter_can_be_taken_off_by_itself(story: Story) -> None:
    html = (
        sign_in(story.tenant.owner).get(LOG, {"status": "failed", "code": "5xx"}).content.decode()
    )

    assert "Status: Failed" in html
    assert 'href="?code=5xx"' in html
    assert 'href="?status=failed"' in html


def test_archived_rules_can_still_be_looked_for(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        CallbackRule.objects.update(status="archived")

    html = sign_in(story.tenant.owner).get(LOG).content.decode()

    assert "(archived)" in html


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ({}, 1),
        ({"event": "purchase"}, 1),
        ({"event": "open"}, 0),
        ({"source": "sdk"}, 1),
        ({"source": "server"}, 0),
        ({"platform": "ios"}, 0),
        ({"time": "1h"}, 1),
        ({"q": str(uuid.uuid4())}, 0),
        ({"app": "0"}, 0),
        ({"since": "\0"}, 0),
    ],
)
def test_events_are_filtered_likewise(story: Story, question: dict[str, str], found: int) -> None:
    page = sign_in(story.tenant.owner).get("/admin/postbacks/event/", question)

    assert page.context["cl"].result_count == found


@pytest.mark.parametrize(
    ("page", "question", "found"),
    [
        ("install", {}, 1),
        ("install", {"app": "x"}, 0),
        ("deliveryattempt", {"outcome": "failed"}, 1),
        ("deliveryattempt", {"outcome": "retry"}, 0),
        ("decisionfailure", {"after": "x"}, 1),
    ],
)
def test_the_small_logs_are_lists_of_the_same_kind(
    story: Story, page: str, question: dict[str, str], found: int
) -> None:
    answer = sign_in(story.tenant.owner).get(f"/admin/postbacks/{page}/", question)

    assert answer.status_code == 200
    assert answer.context["cl"].result_count == found


def test_an_empty_log_says_what_to_do_next() -> None:
    owner = make.make_tenant().owner

    html = sign_in(owner).get(LOG).content.decode()

    assert "No postbacks yet" in html
    assert "/admin/postbacks/callbackrule/" in html


def test_the_log_of_a_rule_that_sent_nothing_yet_says_when_it_will(story: Story) -> None:
    with tenant(story.tenant.organization.pk):
        silent = make.make_rule()
    browser = sign_in(story.tenant.owner)

    of_rule = browser.get(LOG, {"rule": silent.pk}).content.decode()
    narrower = browser.get(LOG, {"rule": silent.pk, "status": "failed"}).content.decode()

    assert "No postback of this rule is here." in of_rule
    assert "Nothing matches these filters." in narrower
