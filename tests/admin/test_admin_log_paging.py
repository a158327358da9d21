"""The delivery log is paged by key: complete, in order, and steady while rows come in."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import tenant
from postbacks.insights import keyset
from postbacks.insights.keyset import KeysetPosition
from postbacks.models import Postback
from tests.admin.logs import LOG, add_postbacks, link, seconds_ago, shown_ids
from tests.admin.pages import sign_in
from tests.isolation.story import Story

pytestmark = pytest.mark.django_db(transaction=True)


def _everything(story: Story) -> list[int]:
    with tenant(story.organization_id):
        rows = Postback.objects.order_by("-event_received_at", "-id")
        return list(rows.values_list("pk", flat=True))


def test_pages_forward_and_back_are_the_whole_log_in_order(story: Story) -> None:
    same, earlier = seconds_ago(60, 90)
    add_postbacks(story, [same] * 90 + [earlier] * 80)
    browser = sign_in(story.tenant.owner)
    forward: list[list[int]] = []
    backward: list[list[int]] = []

    address: str | None = ""
    while address is not None:
        html = browser.get(LOG + address).content.decode()
        forward.append(shown_ids(browser, LOG + address))
        last, address = address, link(html, "next")
    address = last
    while address is not None:
        html = browser.get(LOG + address).content.decode()
        backward.append(shown_ids(browser, LOG + address))
        address = link(html, "prev")

    everything = _everything(story)
    assert [row for page in forward for row in page] == everything
    assert backward == forward[::-1]


def test_oldest_first_is_the_same_log_from_its_other_end(story: Story) -> None:
    same, earlier = seconds_ago(60, 90)
    add_postbacks(story, [same] * 90 + [earlier] * 80)
    browser = sign_in(story.tenant.owner)
    forward: list[int] = []
    address = "?order=oldest"
    first = browser.get(LOG + address).content.decode()

    for _ in range(4):
        html = browser.get(LOG + address).content.decode()
        seen = set(forward)
        forward += [row for row in shown_ids(browser, LOG + address) if row not in seen]
        address = link(html, "next") or address

    assert forward == _everything(story)[::-1]
    assert link(first, "prev") is None
    assert "data-renews" not in first
    second = browser.get(LOG + (link(first, "next") or "")).content.decode()
    back = LOG + (link(second, "prev") or "")
    assert shown_ids(browser, back) == forward[:50]


def test_new_rows_do_not_shift_the_next_page(story: Story) -> None:
    add_postbacks(story, seconds_ago(*range(60, 180)))
    browser = sign_in(story.tenant.owner)
    before = _everything(story)
    first = browser.get(LOG).content.decode()

    add_postbacks(story, seconds_ago(*range(1, 30)))

    assert shown_ids(browser, LOG + (link(first, "next") or "")) == before[50:100]


def test_the_way_back_ends_on_a_full_newest_page(story: Story) -> None:
    add_postbacks(story, seconds_ago(*range(60, 180)))
    browser = sign_in(story.tenant.owner)
    first = browser.get(LOG).content.decode()
    second = browser.get(LOG + (link(first, "next") or "")).content.decode()
    add_postbacks(story, seconds_ago(*range(1, 4)))

    back = browser.get(LOG + (link(second, "prev") or "")).content.decode()

    assert shown_ids(browser, LOG + (link(back, "prev") or "")) == _everything(story)[:50]


def test_a_page_counts_nothing_and_skips_nothing(story: Story) -> None:
    add_postbacks(story, seconds_ago(*range(60, 180)))
    browser = sign_in(story.tenant.owner)
    second = link(browser.get(LOG).content.decode(), "next") or ""

    with CaptureQueriesContext(connection) as queries:
        browser.get(LOG + second)

    statements = [query["sql"] for query in queries if 'FROM "postback"' in query["sql"]]
    assert len(statements) == 1
    assert "COUNT(" not in statements[0]
    assert "OFFSET" not in statements[0]


@pytest.mark.parametrize(
    "cursor", ["%00", "garbage", "MQ", "4pyT", "LTEg", "OTk5OTk5OTk5OTk5OTk5OTk5OTkgMjAyNi0wMS0wMQ"]
)
@pytest.mark.parametrize("name", ["after", "before"])
def test_a_broken_cursor_is_the_newest_page(story: Story, cursor: str, name: str) -> None:
    page = sign_in(story.tenant.owner).get(f"{LOG}?{name}={cursor}")

    assert page.status_code == 200
    assert page.context["cl"].result_count in (0, 1)


def test_a_place_survives_the_address() -> None:
    (moment,) = seconds_ago(5)
    place = KeysetPosition(2**62, moment)

    assert KeysetPosition.decode(place.encode()) == place


def test_a_rare_search_stops_and_goes_on_where_it_stopped(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "_STEPS", (10, 20))
    (rare,) = add_postbacks(story, seconds_ago(3_000), last_status_code=503)
    add_postbacks(story, seconds_ago(*range(60, 100)))
    browser = sign_in(story.tenant.owner)

    first = browser.get(f"{LOG}?code=503").content.decode()
    second = browser.get(LOG + (link(first, "next") or ""))

    assert "Nothing found so far" in first
    assert "Look further back" in first
    assert [row.pk for row in second.context["cl"].page.rows] == [rare.pk]


def test_a_search_that_looks_up_each_row_elsewhere_stops_earlier(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "_STEPS", (40, 80))
    add_postbacks(story, seconds_ago(*range(60, 100)))
    browser = sign_in(story.tenant.owner)

    by_a_column = browser.get(f"{LOG}?code=418").content.decode()
    by_attempts = browser.get(f"{LOG}?kind=replay").content.decode()

    assert "Look further back" not in by_a_column
    assert "Look further back" in by_attempts
    assert "at 62,500 rows" in by_attempts


def test_a_rare_search_for_newer_rows_goes_on_ahead(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyset, "_STEPS", (10, 20))
    (rare,) = add_postbacks(story, seconds_ago(3_000), last_status_code=503)
    add_postbacks(story, seconds_ago(*range(60, 100)))
    (newest,) = add_postbacks(story, seconds_ago(1), last_status_code=503)
    browser = sign_in(story.tenant.owner)
    oldest = KeysetPosition(rare.pk, rare.event_received_at).encode()

    page = browser.get(f"{LOG}?code=503&before={oldest}").content.decode()

    assert "Look further ahead" in page
    assert "Look further back" not in page
    assert shown_ids(browser, LOG + (link(page, "next") or "")) == []
    assert shown_ids(browser, LOG + (link(page, "prev") or "")) == [newest.pk]
