"""The live page: what comes is seen at once, by those alone whose it is, however many look."""

import json
import re
import uuid
from contextlib import nullcontext
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database.roles import WORKER
from postbacks.insights import live
from postbacks.models import Event, EventSource, Postback, PostbackStatus, SkipReason
from tests import make
from tests.admin.logs import add_postbacks
from tests.admin.pages import sign_in
from tests.database import as_role
from tests.isolation.layers import without_policies, without_python
from tests.isolation.story import Story, live_through

pytestmark = pytest.mark.django_db(transaction=True)

GAID = "38400000-8cf0-11bd-b23e-10b96e40000d"


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a ring read whenever it is asked."""
    monkeypatch.setattr(live, "READ_EVERY", 0.0)


def add_event(story: Story, name: str = "purchase", *, age: float = 0.0, **fields: object) -> Event:
    """Write an event of the story's app as the intake does, that many seconds ago."""
    now = datetime.now(UTC) - timedelta(seconds=age)
    device = fields.pop("device", "install_id:a-device")
    with as_role(WORKER), tenant(story.organization_id):
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) + 1 FROM event")
            (id_,) = cursor.fetchone()
        return Event.objects.create(
            id=id_,
            app=story.tenant.app,
            event_id=uuid.uuid4(),
            event_name=name,
            event_time=now,
            received_at=now,
            source=EventSource.SDK,
            device=device,
            fields=fields,
        )


def ask(browser: Client, after: float = 0.0, **filters: object) -> dict[str, object]:
    """Ask as an open page does."""
    answer = browser.get("/admin/live/rows/", {"after": repr(after), **filters})
    assert answer.status_code == 200
    found: dict[str, object] = json.loads(answer.content)
    return {**found, "rows": unescape(str(found["rows"]))}


def test_what_comes_is_shown_once_and_at_once(story: Story, at_once: None) -> None:
    browser = sign_in(story.tenant.owner)
    page = browser.get("/admin/live/")
    html = page.content.decode()
    assert f"/admin/postbacks/event/{story.keys[Event][0]}/change/" in html
    assert f"/admin/postbacks/postback/{story.keys[Postback][0]}/change/" in html
    assert "HTTP 500" in html

    after = float(page.context["panel"]["after"])
    add_event(story, "level_up")
    news = ask(browser, after)
    nothing = ask(browser, float(str(news["after"])))

    assert "level_up" in str(news["rows"])
    assert news["count"] == 1
    assert (nothing["count"], nothing["rows"], nothing["more"]) == (0, "", False)


def test_a_row_that_became_visible_late_is_shown_and_none_twice(
    story: Story, at_once: None
) -> None:
    browser = sign_in(story.tenant.owner)
    add_event(story, "first")
    after = float(str(ask(browser)["after"]))

    add_event(story, "late", age=1.0)  # its transaction took a second longer than the first's
    late = ask(browser, after)
    add_event(story, "next")
    later = ask(browser, float(str(late["after"])))

    assert (late["count"], later["count"]) == (1, 1)
    assert "late" in str(late["rows"])
    assert "next" in str(later["rows"])


def test_milliseconds_have_their_zeros(story: Story, at_once: None) -> None:
    browser = sign_in(story.tenant.owner)
    now = datetime.now(UTC)
    at = now.replace(microsecond=7_000) - timedelta(seconds=2)

    add_event(story, "early", age=(now - at).total_seconds())

    (row,) = re.findall(r"<tr(?:(?!<tr).)*early", str(ask(browser)["rows"]), re.S)
    assert re.findall(r'lv-ms">\.(\d+)<', row) == re.findall(r'datetime="[^"]*\.(\d+)[+-]', row)


def test_a_postback_that_is_skipped_says_why(story: Story, at_once: None) -> None:
    browser = sign_in(story.tenant.owner)
    after = float(str(ask(browser)["after"]))

    add_postbacks(
        story,
        [datetime.now(UTC)],
        status=PostbackStatus.SKIPPED,
        reason=SkipReason.NO_CONSENT,
        attempts_made=0,
    )
    news = ask(browser, after)

    assert "Skipped" in str(news["rows"])
    assert "The person did not consent" in str(news["rows"])
    assert ask(browser, float(str(news["after"])))["count"] == 0


def test_filters_leave_what_they_name(story: Story, at_once: None) -> None:
    add_event(story, "purchase", gaid=GAID, device=f"advertising:{GAID}")
    add_event(story, "level_up", install_id="a-device")
    browser = sign_in(story.tenant.owner)
    with tenant(story.organization_id):
        rule_id = Postback.objects.get().rule_id
    app_id = story.tenant.app.pk

    counts = {
        json.dumps(filters): ask(browser, **filters)["count"]
        for filters in (
            {},
            {"kind": "event"},
            {"kind": "postback"},
            {"event": "level_up"},
            {"app": app_id},
            {"app": app_id + 1},
            {"rule": rule_id},
            {"rule": rule_id + 1_000},
            {"device": GAID},
            {"device": GAID.upper().replace("-", "")},
            {"device": "a-device"},
            {"device": "customer-1"},  # and the attempt for that person's event
            {"device": "nobody's"},
            {"app": "' OR 1=1", "rule": "\N{SUPERSCRIPT TWO}", "after": "nan"},
        )
    }

    assert list(counts.values()) == [4, 3, 1, 1, 4, 0, 1, 0, 1, 1, 1, 2, 0, 4], counts


@pytest.mark.parametrize("wall", ["both", "python", "policies"])
def test_nobody_sees_what_comes_to_another_organization(wall: str, at_once: None) -> None:
    ours, theirs = live_through("Ours"), live_through("Theirs")
    walls = {"both": nullcontext, "python": without_policies, "policies": without_python}
    us, them = sign_in(ours.tenant.owner), sign_in(theirs.tenant.owner)

    for _ in range(2):  # in turn, from the same process
        add_event(ours, "event_of_ours")
        add_event(theirs, "event_of_theirs")
        add_postbacks(
            theirs, [datetime.now(UTC)], status=PostbackStatus.SKIPPED, event_name="skip_theirs"
        )
        with walls[wall]():
            shown = {browser: str(ask(browser)["rows"]) for browser in (us, them)}
            foreign = ask(us, app=theirs.tenant.app.pk)
        assert "event_of_ours" in shown[us]
        assert "theirs" not in shown[us]
        assert "skip_theirs" in shown[them]
        assert "ours" not in shown[them]
        assert foreign["count"] == 0


def test_many_pages_cost_one_reading(story: Story) -> None:
    browser = sign_in(story.tenant.owner)
    ask(browser)

    with CaptureQueriesContext(connection) as queries:
        answers = [ask(browser) for _ in range(10)]

    read = [query for query in queries if "FROM delivery_attempt" in query["sql"]]
    assert len(read) <= 1  # a second may have gone by
    assert all(answer["count"] == 2 for answer in answers)


def test_a_test_device_is_marked_here_and_in_the_logs(story: Story, at_once: None) -> None:
    with tenant(story.organization_id):
        make.make_test_device("Anna's Pixel 8", gaid=GAID)
    add_event(story, "tested", gaid=GAID.upper())
    browser = sign_in(story.tenant.owner)

    rows = str(ask(browser, event="tested")["rows"])
    others = str(ask(browser, event="purchase")["rows"])
    log = unescape(browser.get("/admin/postbacks/event/?event=tested").content.decode())

    assert "Test device: Anna's Pixel 8" in rows
    assert "Test device" not in others
    assert "Test device: Anna's Pixel 8" in log


def test_an_empty_page_says_what_to_do_next(browser: Client) -> None:
    waiting = browser.get("/admin/live/").content.decode()
    newcomer = sign_in(make.make_user(organization=make.make_organization()))
    fresh = newcomer.get("/admin/live/").content.decode()
    filtered = browser.get("/admin/live/?event=purchase").content.decode()
    wrong = browser.get("/admin/live/?app=nonsense").content.decode()

    assert "Waiting for the first event" in waiting
    assert "Add the app" in fresh
    assert "Nothing of this happens right now" in filtered
    assert "There is no such app" in wrong


def test_a_ring_keeps_what_it_may_and_forgets_the_unwatched(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "READ_EVERY", 0.0)
    monkeypatch.setattr(live, "MOST_KEPT", 3)
    monkeypatch.setattr(live, "MOST_RINGS", 1)
    rings = live.Rings()
    for number in range(5):
        add_event(story, f"event_{number}", age=5 - number)

    kept = rings.stream_of(story.organization_id).rows
    other = live_through("Other")
    rings.stream_of(other.organization_id)

    assert len(kept) == 3
    assert "event_4" in {seen.row.event_name for seen in kept}  # the newest of these
    assert list(rings._rings) == [other.organization_id]


def test_pages_that_ask_between_the_same_readings_share_an_answer() -> None:
    event = live.LiveEvent(1, datetime.now(UTC), "open", 1, "Game", "", None, "", None, "")
    seen = [live.SeenRow(event, moment, "") for moment in (20.0, 10.0, 10.0)]
    stream = live.Stream(rows=tuple(seen), seen_until=30.0)
    made: list[float] = []

    def write(after: float) -> bytes:
        made.append(after)
        return str(after).encode()

    everything, purchases = live.LiveSearch(), live.LiveSearch(event_name="purchase")
    asked = [(everything, after) for after in (5.0, 9.9, 10.0, 19.9, 20.0, 30.0, 10.0)]
    answers = [
        stream.answer(search, after=after, make=write)
        for search, after in [*asked, (purchases, 10.0)]
    ]

    assert answers == [b"0.0", b"0.0", b"10.0", b"10.0", b"20.0", b"20.0", b"10.0", b"10.0"]
    assert made == [0.0, 10.0, 20.0, 10.0]
    for after in range(2 * live.MOST_ANSWERS):
        search = live.LiveSearch(event_name=str(after))
        stream.answer(search, after=10.0, make=write)
    assert len(stream._answers) <= live.MOST_ANSWERS
