"""Events, postbacks and attempts: all is seen, nothing is written, and big logs stay quick."""

import uuid

import pytest
from django.contrib.admin import site
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.roles import Role
from apps_registry.tenancy import tenant
from postbacks.admin.log_pages import CappedPaginator
from postbacks.models import (
    AttemptKind,
    DeliveryAttempt,
    DuePostback,
    Event,
    Postback,
    PostbackStatus,
)
from postbacks.roles import WORKER
from tests import make
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.story import Story, live_through

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def story(transactional_db: None) -> Story:
    return live_through("Gem Harbor")


def _set_status(story: Story, status: str) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        Postback.objects.update(status=status)
        DuePostback.objects.all().delete()


def test_an_event_shows_its_fields_and_its_postbacks(story: Story) -> None:
    page = sign_in(story.tenant.owner).get(f"/admin/postbacks/event/{story.keys[Event][0]}/change/")

    shown = page.content.decode()
    assert "&quot;level&quot;: 3" in shown
    assert str(story.uuids[Postback][0]) in shown
    assert f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/" in shown


def test_a_postback_shows_its_attempts_with_request_and_response(story: Story) -> None:
    page = sign_in(story.tenant.owner).get(
        f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/"
    )

    shown = page.content.decode()
    assert "&quot;url&quot;: &quot;https://ads.example.com&quot;" in shown
    assert "&quot;body&quot;: &quot;no&quot;" in shown
    assert 'class="field-duration_ms"' in shown


def test_what_a_partner_answered_is_shown_as_text(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        DeliveryAttempt.objects.update(response={"body": '"><script>alert(1)</script>'})

    page = sign_in(story.tenant.owner).get(
        f"/admin/postbacks/deliveryattempt/{story.keys[DeliveryAttempt][0]}/change/"
    )

    assert "<script>alert(1)" not in page.content.decode()
    assert "&lt;script&gt;alert(1)" in page.content.decode()


@pytest.mark.parametrize("page", ["event", "postback", "deliveryattempt", "install"])
def test_nobody_writes_a_log(story: Story, page: str) -> None:
    browser = sign_in(story.tenant.owner)
    (model,) = (it for it in site._registry if it._meta.model_name == page)
    one = f"/admin/postbacks/{page}/{story.keys[model][0]}"

    refused = [
        browser.post(path, {"post": "yes"}).status_code
        for path in (f"/admin/postbacks/{page}/add/", f"{one}/change/", f"{one}/delete/")
    ]

    assert refused == [403, 403, 403]


@pytest.mark.parametrize(("page", "model"), [("event", Event), ("postback", Postback)])
def test_a_row_is_found_by_its_id(story: Story, page: str, model: type) -> None:
    browser = sign_in(story.tenant.owner)
    found = browser.get(f"/admin/postbacks/{page}/", {"q": str(story.uuids[model][0])})
    other = browser.get(f"/admin/postbacks/{page}/", {"q": str(uuid.uuid4())})
    text = browser.get(f"/admin/postbacks/{page}/", {"q": "purchase"})

    counts = [answer.context["cl"].result_count for answer in (found, other, text)]

    assert counts == [1, 0, 0]


def test_a_postback_is_found_by_its_events_id(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    found = browser.get("/admin/postbacks/postback/", {"q": str(story.uuids[Event][0])})

    assert found.context["cl"].result_count == 1


@pytest.mark.parametrize("page", ["event", "postback", "deliveryattempt"])
def test_a_list_counts_to_ten_thousand_at_most_and_reads_rows_once(story: Story, page: str) -> None:
    browser = sign_in(story.tenant.owner)
    table = {"deliveryattempt": "delivery_attempt"}.get(page, page)

    with CaptureQueriesContext(
        connection,
    ) as queries:
        browser.get(f"/admin/postbacks/{page}/")

    asked = [query["sql"] for query in queries if f'FROM "{table}"' in query["sql"]]
    assert len(asked) == 2
    assert "LIMIT 10001" in asked[0]


def test_the_count_says_that_there_is_more() -> None:
    few, many = CappedPaginator(range(10_000), 50), CappedPaginator(range(10_001), 50)

    assert (few.count, few.is_capped) == (10_000, False)
    assert (many.count, many.is_capped) == (10_000, True)


@pytest.mark.parametrize("page", ["event", "postback"])
def test_the_rows_inside_a_page_are_looked_for_in_one_day_only(story: Story, page: str) -> None:
    browser = sign_in(story.tenant.owner)
    (model,) = (it for it in site._registry if it._meta.model_name == page)

    with CaptureQueriesContext(connection) as queries:
        browser.get(f"/admin/postbacks/{page}/{story.keys[model][0]}/change/")

    inside = {"event": "postback", "postback": "delivery_attempt"}[page]
    asked = [query["sql"] for query in queries if f'FROM "{inside}"' in query["sql"]]
    assert asked
    assert all(f'"{inside}"."event_received_at" = ' in statement for statement in asked[-1:])


def test_a_failed_postback_is_resent_after_a_question(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    browser = sign_in(make.make_user(Role.MARKETER, organization=story.tenant.organization))
    chosen = {"action": "resend_selected", "_selected_action": story.keys[Postback]}

    question = browser.post("/admin/postbacks/postback/", chosen)
    answer = browser.post("/admin/postbacks/postback/", {**chosen, "confirmed": "yes"}, follow=True)

    assert "Send these postbacks again?" in question.content.decode()
    assert "1 on the way." in answer.content.decode()
    with tenant(story.organization_id):
        assert Postback.objects.get().status == PostbackStatus.PENDING
        assert DuePostback.objects.get().kind == AttemptKind.RESEND


def test_a_skipped_postback_is_not_resent_and_the_page_says_why(story: Story) -> None:
    _set_status(story, PostbackStatus.SKIPPED)

    answer = sign_in(story.tenant.owner).post(
        "/admin/postbacks/postback/",
        {
            "action": "resend_selected",
            "_selected_action": story.keys[Postback],
            "confirmed": "yes",
        },
        follow=True,
    )

    assert "nothing to send again" in answer.content.decode()
    with tenant(story.organization_id):
        assert not DuePostback.objects.exists()


def test_the_page_of_a_postback_has_a_button_for_those_who_may_resend(story: Story) -> None:
    page = f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/"
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    owners = sign_in(story.tenant.owner).get(page).content.decode()
    analysts = sign_in(analyst).get(page).content.decode()

    assert 'value="resend_selected"' in owners
    assert 'value="resend_selected"' not in analysts


def test_an_analyst_who_sends_the_form_all_the_same_resends_nothing(story: Story) -> None:
    _set_status(story, PostbackStatus.FAILED)
    analyst = make.make_user(Role.ANALYST, organization=story.tenant.organization)

    sign_in(analyst).post(
        "/admin/postbacks/postback/",
        {
            "action": "resend_selected",
            "_selected_action": story.keys[Postback],
            "confirmed": "yes",
        },
    )

    with tenant(story.organization_id):
        assert Postback.objects.get().status == PostbackStatus.FAILED
