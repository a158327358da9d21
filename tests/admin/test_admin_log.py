"""Events, postbacks and attempts: all is seen, nothing is written, and big logs stay quick."""

import uuid
from datetime import UTC, datetime

import pytest
from django.contrib.admin import site
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import tenant
from postbacks.admin.logs.http_exchange import request_view
from postbacks.admin.logs.postback_detail import attempt_view
from postbacks.callbacks.rules.versions import save_rule
from postbacks.infrastructure.database.roles import WORKER
from postbacks.models import (
    DeliveryAttempt,
    Event,
    Postback,
    PostbackStatus,
    SkipReason,
    UndecidedEvent,
)
from tests import make
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)


def test_an_event_shows_its_fields_and_its_postbacks(story: Story) -> None:
    page = sign_in(story.tenant.owner).get(f"/admin/postbacks/event/{story.keys[Event][0]}/change/")

    html = page.content.decode()
    assert "&quot;level&quot;: 3" in html
    assert f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/" in html


def test_a_postback_shows_its_attempts_with_request_and_answer(story: Story) -> None:
    page = sign_in(story.tenant.owner).get(
        f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/"
    )

    html = page.content.decode()
    assert "https://ads.example.com" in html
    assert '<pre class="pb-code" tabindex="0">no</pre>' in html
    assert "12\N{NO-BREAK SPACE}ms" in html


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
    (model,) = (model for model in site._registry if model._meta.model_name == page)
    one = f"/admin/postbacks/{page}/{story.keys[model][0]}"

    refused = [
        browser.post(path, {"post": "yes"}).status_code
        for path in (f"/admin/postbacks/{page}/add/", f"{one}/change/", f"{one}/delete/")
    ]

    assert refused == [403, 403, 403]


@pytest.mark.parametrize(("page", "model"), [("event", Event), ("postback", Postback)])
def test_a_row_is_found_by_its_id(story: Story, page: str, model: type) -> None:
    browser = sign_in(story.tenant.owner)
    response = browser.get(f"/admin/postbacks/{page}/", {"q": str(story.uuids[model][0])})
    other = browser.get(f"/admin/postbacks/{page}/", {"q": str(uuid.uuid4())})
    text = browser.get(f"/admin/postbacks/{page}/", {"q": "purchase"})

    counts = [answer.context["cl"].result_count for answer in (response, other, text)]

    assert counts == [1, 0, 0]


def test_an_event_says_which_rules_sent_nothing_and_why(story: Story) -> None:
    with tenant(story.tenant.organization.pk):
        make.make_rule(name="Tutorials only", app=story.tenant.app, triggers=["tutorial"])
        make.make_rule(name="Half a draft", status="draft")
    with as_role(WORKER), tenant(story.organization_id):
        UndecidedEvent.objects.all().delete()

    page = sign_in(story.tenant.owner).get(f"/admin/postbacks/event/{story.keys[Event][0]}/change/")

    text = page.content.decode()
    assert "2 rules sent nothing: why" in text
    assert text.index("Half a draft") < text.index("The rule is a draft; only active rules send.")
    assert "The rule is for tutorial; the event is purchase." in text


def test_a_postback_is_found_by_its_events_id(story: Story) -> None:
    browser = sign_in(story.tenant.owner)

    response = browser.get("/admin/postbacks/postback/", {"q": str(story.uuids[Event][0])})

    assert response.context["cl"].result_count == 1


@pytest.mark.parametrize("page", ["event", "postback"])
def test_the_rows_inside_a_page_are_looked_for_in_one_day_only(story: Story, page: str) -> None:
    browser = sign_in(story.tenant.owner)
    (model,) = (model for model in site._registry if model._meta.model_name == page)

    with CaptureQueriesContext(connection) as queries:
        browser.get(f"/admin/postbacks/{page}/{story.keys[model][0]}/change/")

    inside = {"event": "postback", "postback": "delivery_attempt"}[page]
    statements = [query["sql"] for query in queries if f'FROM "{inside}"' in query["sql"]]
    assert statements
    assert all(f'"{inside}"."event_received_at" = ' in statement for statement in statements)


HOSTILE = '"><div x-data="alert(1)">'


def _make_hostile(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        DeliveryAttempt.objects.update(
            request={"method": HOSTILE, "url": f"https://a.example/?{HOSTILE}=1", "body": HOSTILE},
            response={"headers": {HOSTILE: HOSTILE}, "body": HOSTILE},
            detail=HOSTILE,
            error=HOSTILE,
        )
        Postback.objects.update(event_name=HOSTILE, reason=HOSTILE)
        Event.objects.update(event_name=HOSTILE, fields={HOSTILE: HOSTILE}, params={HOSTILE: 1})


@pytest.mark.parametrize(
    "path", ["postback/", "postback/{}/change/", "postback/{}/details/", "postback/{}/resend/"]
)
def test_hostile_texts_stay_texts_in_the_delivery_log(story: Story, path: str) -> None:
    _make_hostile(story)

    page = sign_in(story.tenant.owner).get(
        "/admin/postbacks/" + path.format(story.keys[Postback][0]), {"next": "/" + HOSTILE}
    )

    assert page.status_code == 200
    assert "<div x-data=" not in page.content.decode()
    assert "&lt;div x-data=" in page.content.decode()


@pytest.mark.parametrize("path", ["event/", "event/{}/change/"])
def test_hostile_texts_stay_texts_in_the_events(story: Story, path: str) -> None:
    _make_hostile(story)

    page = sign_in(story.tenant.owner).get(
        "/admin/postbacks/" + path.format(story.keys[Event][0]), {"event": HOSTILE}
    )

    assert "<div x-data=" not in page.content.decode()
    assert "&lt;div x-data=" in page.content.decode()


def test_a_row_opens_to_a_piece_of_a_page(story: Story) -> None:
    piece = sign_in(story.tenant.owner).get(
        f"/admin/postbacks/postback/{story.keys[Postback][0]}/details/"
    )

    html = piece.content.decode()
    assert "<html" not in html
    assert "curl --request GET https://ads.example.com" in html


@pytest.mark.parametrize("url", ["https://a.example/?q={1,2}", "https://a.example/?q=[1-9]"])
def test_a_copied_command_sends_one_request_to_an_address_with_braces(url: str) -> None:
    plain, odd = (request_view({"method": "GET", "url": it}) for it in ("https://a.example/", url))

    assert plain
    assert plain.curl == "curl --request GET https://a.example/"
    assert odd
    assert odd.curl == f"curl --globoff --request GET '{url}'"


def _skip_for(story: Story, url: str, *, corrected: str = "") -> str:
    """Have the story's postback skipped by a rule with this URL; return what its row opens to."""
    with as_role(WORKER), tenant(story.organization_id):
        rule = make.make_rule(url=url, app=story.tenant.app)
        Postback.objects.update(
            status=PostbackStatus.SKIPPED,
            reason=SkipReason.MISSING_MACRO,
            rule_id=rule.pk,
            rule_version=rule.version,
        )
        if corrected:
            rule.url = corrected
            save_rule(rule, by=None)
    address = f"/admin/postbacks/postback/{story.keys[Postback][0]}/details/"
    return sign_in(story.tenant.owner).get(address).content.decode()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("a={{idfa!}}&b={{gaid!}}", "{{gaid}} has no value in this event."),
        ("a={{gaid!}}&b={{oaid!}}", "{{gaid}} and {{oaid}} have no value in this event."),
        ("a={{idfa!}}", "The rule requires {{idfa}}."),
    ],
)
def test_a_skipped_postback_names_the_macros_without_a_value(
    story: Story, query: str, words: str
) -> None:
    shown = _skip_for(story, f"https://ads.example.com/?{query}")

    assert words in shown


def test_a_postback_that_a_corrected_rule_skipped_names_what_that_rule_requires(
    story: Story,
) -> None:
    decided_by, corrected = (
        f"https://ads.example.com/?a={query}" for query in ("{{idfa!}}", "{{idfa!}}&b={{gaid!}}")
    )

    shown = _skip_for(story, decided_by, corrected=corrected)

    assert "{{gaid}} has no value in this event." in shown


def test_a_skipped_postback_whose_event_is_gone_names_what_its_rule_requires(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        Postback.objects.update(event_id=story.keys[Event][0] + 1_000)

    shown = _skip_for(story, "https://ads.example.com/?a={{idfa!}}&b={{gaid!}}")

    assert "The rule requires {{idfa}} and {{gaid}}." in shown


def test_a_long_header_is_shown_on_demand(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id):
        DeliveryAttempt.objects.update(response={"headers": {"X-Long": "x" * 5_000}, "body": "no"})

    piece = sign_in(story.tenant.owner).get(
        f"/admin/postbacks/postback/{story.keys[Postback][0]}/details/"
    )

    assert "Show all 5000 characters" in piece.content.decode()


def test_an_events_page_is_named_for_the_event_and_tells_each_time_once(story: Story) -> None:
    moment = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
    with as_role(WORKER), tenant(story.organization_id):
        Event.objects.update(event_time=moment, platform="ios")

    page = sign_in(story.tenant.owner).get(f"/admin/postbacks/event/{story.keys[Event][0]}/change/")

    html = page.content.decode()
    assert page.context["title"].startswith(f"purchase · {story.tenant.app} · ")
    assert ">Mar 1, 2026, 12:30:15</time>" in html
    assert 'title="2026-03-01T12:30:15.250+00:00"' in html
    assert "<td>iOS</td>" in html


def test_what_a_row_opens_to_needs_a_sign_in(story: Story) -> None:
    answer = Client().get(f"/admin/postbacks/postback/{story.keys[Postback][0]}/details/")

    assert answer.status_code == 302
    assert answer["Location"].startswith("/admin/login/")


@pytest.mark.parametrize("key", ["0", "999999999999999999999999", "nobody", "-1"])
def test_a_row_that_does_not_exist_opens_to_nothing(story: Story, key: str) -> None:
    browser = sign_in(story.tenant.owner)

    answers = [
        browser.get(f"/admin/postbacks/postback/{key}/{page}/").status_code
        for page in ("details", "resend", "change")
    ]

    assert answers == [404, 404, 302]


def test_numbers_of_an_event_keep_their_digits(story: Story) -> None:
    with as_role(WORKER), tenant(story.organization_id), connection.cursor() as cursor:
        cursor.execute("""UPDATE event SET fields = '{"price": 0.10000000000000000001}'""")

    page = sign_in(story.tenant.owner).get(f"/admin/postbacks/event/{story.keys[Event][0]}/change/")

    assert page.content.decode().count("0.10000000000000000001") == 2


@pytest.mark.parametrize(
    ("error", "status_code", "words"),
    [
        *(("blocked", None, "Nothing sent"), ("invalid_request", None, "Nothing sent")),
        *(("timeout", None, "No answer"), ("", None, "No answer"), ("http_404", 404, "HTTP 404")),
    ],
)
def test_a_try_says_whether_anything_went_out(
    error: str, status_code: int | None, words: str
) -> None:
    made = DeliveryAttempt(error=error, status_code=status_code, duration_ms=3)

    assert attempt_view(made).answer == words
