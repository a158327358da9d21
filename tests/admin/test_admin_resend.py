"""Sending postbacks again: by those who may, after a question, and back to where one came from."""

from datetime import timedelta

import pytest
from django.utils import timezone

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.admin.logs import postbacks as log_pages
from postbacks.callbacks.rules.versions import save_rule
from postbacks.infrastructure.database.roles import WORKER
from postbacks.models import (
    AttemptKind,
    CallbackRule,
    DeliveryAttempt,
    DuePostback,
    Postback,
    PostbackStatus,
    RuleStatus,
)
from tests import make
from tests.admin.logs import LOG, add_postbacks
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)


def _set_status(story: Story, status: str) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        Postback.objects.update(status=status)
        DuePostback.objects.all().delete()


def _status(story: Story) -> str:
    with tenant(story.organization_id):
        return Postback.objects.get().status


def _question(story: Story) -> str:
    return f"{LOG}{story.keys[Postback][0]}/resend/"


def test_a_failed_postback_is_resent_after_a_question(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    browser = sign_in(make.make_user(Role.MARKETER, organization=story.tenant.organization))

    question = browser.get(_question(story)).content.decode()
    before = _status(story)
    answer = browser.post(_question(story), {"confirmed": "yes"}, follow=True)

    assert "Resend this postback?" in question
    assert before == PostbackStatus.FAILED
    assert "The postback is on the way." in answer.content.decode()
    assert _status(story) == PostbackStatus.PENDING
    with tenant(story.organization_id):
        assert DuePostback.objects.get().kind == AttemptKind.RESEND


def test_chosen_postbacks_are_resent_after_a_question_under_the_same_filters(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    browser = sign_in(story.tenant.owner)
    address = f"{LOG}?status=failed&event=nothing"
    chosen = {"action": "resend_selected", "_selected_action": story.keys[Postback]}

    question = browser.post(address, chosen)
    answer = browser.post(address, {**chosen, "confirmed": "yes"})

    assert "Resend this postback?" in question.content.decode()
    assert answer["Location"] == address
    assert _status(story) == PostbackStatus.PENDING


def test_what_a_page_has_no_time_to_resend_is_left_and_counted(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_pages, "RESENDING_SECONDS", 0)
    added = add_postbacks(story, [timezone.now()] * 2, status=PostbackStatus.FAILED)
    chosen = {"action": "resend_selected", "_selected_action": [row.pk for row in added]}

    answer = sign_in(story.tenant.owner).post(LOG, {**chosen, "confirmed": "yes"}, follow=True)

    words = answer.content.decode()
    assert "1 postback is on the way." in words
    assert "1 postback was not reached before this page had to answer." in words


def test_a_resend_leads_back_to_the_list_with_its_filters(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    back = f"{LOG}?status=failed&after=MQ"

    answer = sign_in(story.tenant.owner).post(_question(story), {"confirmed": "yes", "next": back})

    assert answer["Location"] == f"{back}#postback-{story.keys[Postback][0]}"


def test_a_resend_leads_to_the_row_in_the_list(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)

    page = sign_in(story.tenant.owner).post(_question(story), {"confirmed": "yes"}, follow=True)

    html = page.content.decode()
    assert f'id="postback-{story.keys[Postback][0]}"' in html
    assert f'href="{LOG}{story.keys[Postback][0]}/change/">See it</a>' in html


@pytest.mark.parametrize(
    "elsewhere",
    [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example",
        "javascript:alert(1)",
        "/admin/postbacks/\x00",
        "/admin/postbacks/\r\nX: 1",
    ],
)
def test_a_resend_leads_nowhere_else(story: Story, elsewhere: str) -> None:
    answer = sign_in(story.tenant.owner).post(
        _question(story), {"confirmed": "yes", "next": elsewhere}
    )

    assert answer["Location"] == f"{LOG}#postback-{story.keys[Postback][0]}"


def test_a_skipped_postback_is_not_resent_and_the_page_says_why(story: Story) -> None:
    _set_status(story, PostbackStatus.SKIPPED)
    _correct_rule(story, event_map={"something_else": "x"})
    browser = sign_in(story.tenant.owner)

    question = browser.get(_question(story)).content.decode()
    answer = browser.post(_question(story), {"confirmed": "yes"}, follow=True)

    assert "Have this postback decided again?" in question
    assert "Yes, resend it" not in question
    assert "the rule of now skips it too" in answer.content.decode()
    assert _status(story) == PostbackStatus.SKIPPED
    with tenant(story.organization_id):
        assert not DuePostback.objects.exists()


def test_a_skipped_postback_that_the_rule_of_now_wants_is_on_its_way(story: Story) -> None:
    _set_status(story, PostbackStatus.SKIPPED)
    browser = sign_in(story.tenant.owner)

    page = browser.get(f"{LOG}{story.keys[Postback][0]}/change/").content.decode()
    answer = browser.post(_question(story), {"confirmed": "yes"}, follow=True)

    assert "Decide again" in page
    assert "The postback is on the way." in answer.content.decode()
    assert _status(story) == PostbackStatus.PENDING


def test_a_resend_may_ask_for_the_version_that_decided(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    browser = sign_in(story.tenant.owner)
    same_version = browser.get(_question(story)).content.decode()
    _correct_rule(story, timeout_seconds=3)
    with tenant(story.organization_id):
        decided_by = Postback.objects.get().rule_version

    question = browser.get(_question(story)).content.decode()
    browser.post(_question(story), {"confirmed": "yes", "as_decided": "yes"})

    assert "as_decided" not in same_version
    assert 'name="as_decided"' in question
    with tenant(story.organization_id):
        assert DuePostback.objects.get().pinned_version == decided_by


def test_the_page_shows_where_two_tries_differ(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        first = DeliveryAttempt.objects.get()
        DeliveryAttempt.objects.create(
            postback_id=first.postback_id,
            event_received_at=first.event_received_at,
            number=first.number + 1,
            rule_version=7,
            kind=AttemptKind.AUTO,
            started_at=first.started_at,
            duration_ms=1,
            outcome="retry",
            request={**first.request, "method": "PATCH", "url": "https://new.example.com/x?sub1=b"},
        )

    page = sign_in(story.tenant.owner).get(f"{LOG}{story.keys[Postback][0]}/change/")

    html = page.content.decode()
    assert "This request differs from the one of the try before" in html
    assert "Parameter sub1" in html
    assert "rule version 7" in html


def _correct_rule(story: Story, **fields: object) -> None:
    with tenant(story.organization_id):
        rule = Postback.objects.get().rule
        for name, value in fields.items():
            setattr(rule, name, value)
        save_rule(rule, by=None)


def test_a_rule_that_a_partner_ended_is_said_to_be_suspended(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    with as_role(WORKER), tenant(story.organization_id):
        CallbackRule.objects.update(status=RuleStatus.SUSPENDED)

    page = sign_in(story.tenant.owner).get(f"{LOG}{story.keys[Postback][0]}/details/")

    assert "suspended after the partner answered 410 Gone" in page.content.decode()


@pytest.mark.parametrize(("minutes", "is_watched"), [(0, True), (60, False)])
def test_only_what_is_about_to_be_sent_is_watched(
    story: Story, minutes: int, is_watched: bool
) -> None:
    _set_status(story, PostbackStatus.PENDING)
    due = timezone.now() + timedelta(minutes=minutes)
    with as_role(WORKER), tenant(story.organization_id):
        Postback.objects.update(next_attempt_at=due)

    page = sign_in(story.tenant.owner).get(f"{LOG}{story.keys[Postback][0]}/details/")

    assert ("data-moving" in page.content.decode()) is is_watched


@pytest.mark.parametrize("page", ["change", "details"])
def test_a_postback_has_a_button_for_those_who_may_resend(story: Story, page: str) -> None:
    address = f"{LOG}{story.keys[Postback][0]}/{page}/"
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    owners = sign_in(story.tenant.owner).get(address).content.decode()
    analysts = sign_in(analyst).get(address).content.decode()

    assert _question(story) in owners
    assert "esend" not in analysts


def test_an_analysts_list_has_nothing_to_choose(story: Story) -> None:
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    html = sign_in(analyst).get(LOG).content.decode()

    assert "_selected_action" not in html
    assert "resend_selected" not in html
    assert "Resend …" not in html


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_analyst_is_told_who_may_resend(story: Story, method: str) -> None:
    _set_status(story, PostbackStatus.FAILED)
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    answer = getattr(sign_in(analyst), method)(_question(story), {"confirmed": "yes"})

    assert answer.status_code == 403
    assert "Ask an owner or a marketer" in answer.content.decode()
    assert _status(story) == PostbackStatus.FAILED


def test_an_analyst_who_sends_the_lists_form_all_the_same_resends_nothing(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)
    chosen = {"action": "resend_selected", "_selected_action": story.keys[Postback]}

    sign_in(analyst).post(LOG, {**chosen, "confirmed": "yes"})

    assert _status(story) == PostbackStatus.FAILED


@pytest.mark.parametrize("chosen", ["x", "\0", "9" * 30, "-1", "1.5", "²"])
def test_a_choice_that_is_no_id_resends_nothing(story: Story, chosen: str) -> None:
    answer = sign_in(story.tenant.owner).post(
        LOG, {"action": "resend_selected", "_selected_action": chosen, "confirmed": "yes"}
    )

    assert answer.status_code == 302
