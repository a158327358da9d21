"""Replays in the admin: from the log's filters by an estimate to a page that follows them."""

import re

import pytest
from django.test import Client

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.models import CallbackRule, DuePostback, Replay
from tests import make
from tests.admin.pages import sign_in
from tests.api.calling import make_postback, report
from tests.events import postbacks_of
from tests.pipeline.test_breaker_waits import make_breaker
from tests.workers import work_on_replays

pytestmark = pytest.mark.django_db(transaction=True)

LOG = "/admin/postbacks/postback/"
LIST = "/admin/postbacks/replay/"


@pytest.fixture
def made() -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def rule(made: make.Tenant) -> CallbackRule:
    rule = make.make_tenant_rule(made, name="Purchases")
    for status in ("failed", "failed", "delivered"):
        make_postback(rule, report(made.sdk_key), status=status, attempts_made=1)
    return rule


@pytest.fixture
def browser(made: make.Tenant) -> Client:
    return sign_in(made.owner)


def replay_of(made: make.Tenant) -> Replay:
    with tenant(made.organization.pk):
        return Replay.objects.latest("pk")


def queue_of(made: make.Tenant) -> list[DuePostback]:
    with tenant(made.organization.pk):
        return list(DuePostback.objects.all())


def text_of(browser: Client, address: str) -> str:
    answer = browser.get(address)
    assert answer.status_code == 200, address
    return answer.content.decode()


def test_from_the_log_to_a_replay_that_is_followed_and_cancelled(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    assert "No replays yet" in text_of(browser, LIST)
    log = text_of(browser, f"{LOG}?rule={rule.pk}&time=24h")
    assert "Replay what failed …" in log
    assert f"{LOG}replay/?time=24h&amp;rule={rule.pk}&amp;status=failed" in log

    question = text_of(browser, f"{LOG}replay/?rule={rule.pk}&time=24h&status=failed")
    assert "Replay 2 postbacks?" in question
    assert "Purchases" in question
    assert "How many go out again" not in question

    started = browser.post(
        f"{LOG}replay/?rule={rule.pk}&time=24h&status=failed", {"per_second": "5"}, follow=True
    )
    page = started.content.decode()
    replay = replay_of(made)
    assert started.redirect_chain[-1][0] == f"{LIST}{replay.pk}/change/"
    assert (replay.count, replay.per_second, replay.asked_by) == (2, 5, made.owner.email)
    assert "0 of 2 done" in page
    assert f'data-progress="{LIST}{replay.pk}/progress/"' in page
    assert "Purchases" in page
    work_on_replays()
    progress = text_of(browser, f"{LIST}{replay.pk}/progress/")
    assert "Waiting for their turn" in progress
    assert "data-moving" in progress  # asked for again and again, until a part lacks it
    assert "Postbacks wait" not in progress
    (host,) = {due.host for due in queue_of(made)}
    make_breaker(made, host)
    progress = text_of(browser, f"{LIST}{replay.pk}/progress/")
    assert f"Postbacks wait: {host.replace(':', ', port ')}, fails; the next try is at " in progress

    cancelled = browser.post(f"{LIST}{replay.pk}/cancel/", follow=True).content.decode()
    work_on_replays()
    assert "Cancelled" in cancelled
    page = text_of(browser, f"{LIST}{replay.pk}/change/")
    assert "Left as they were, since it was cancelled" in page
    assert "data-progress" not in page
    assert "data-moving" not in text_of(browser, f"{LIST}{replay.pk}/progress/")
    assert {postback.status for postback in postbacks_of(made)} == {"failed", "delivered"}
    assert re.search(
        r"Status: Failed, Rule: Purchases, From: [A-Z][a-z]+ \d+, \d{4}, \d\d:\d\d:\d\d UTC",
        text_of(browser, LIST),
    )
    assert "Purchases" in text_of(browser, f"{LIST}?status=cancelled&rule={rule.pk}")
    export = browser.get(f"{LIST}export/")
    assert str(replay.public_id) in b"".join(export.streaming_content).decode()
    assert "Started a replay" in text_of(browser, "/admin/apps_registry/auditentry/")


def test_what_was_delivered_takes_its_number(
    browser: Client, made: make.Tenant, rule: CallbackRule
) -> None:
    address = f"{LOG}replay/?status=delivered"
    assert "How many go out again" in text_of(browser, address)

    refused = browser.post(address, {"per_second": "5"}).content.decode()
    assert "were delivered before" in refused
    with tenant(made.organization.pk):
        assert not Replay.objects.exists()

    browser.post(address, {"per_second": "5", "confirm": "1"})
    assert replay_of(made).include_delivered


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("status=pending", "Pending postbacks are on their way already"),
        ("status=skipped", "Nothing to replay"),
        ("event=level", "Nothing to replay"),
        ("code=5xx&status=failed", "Nothing to replay"),
        ("status=failed&test=only", "Replay 2 postbacks?"),
    ],
)
def test_the_page_says_what_there_is_not(
    browser: Client, rule: CallbackRule, query: str, sentence: str
) -> None:
    assert sentence in text_of(browser, f"{LOG}replay/?{query}")


def test_an_analyst_follows_and_starts_nothing(made: make.Tenant, rule: CallbackRule) -> None:
    browser = sign_in(make.make_user(Role.ANALYST, organization=made.organization))

    assert "Replay what failed" not in text_of(browser, LOG)
    assert browser.get(f"{LOG}replay/").status_code == 403
    assert browser.post(f"{LOG}replay/", {"per_second": "5"}).status_code == 403
    assert "No replays yet" in text_of(browser, LIST)
