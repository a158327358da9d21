"""The overview's figures: what is counted, in which hour, and for whom."""

import itertools
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights.days_chart import round_ticks
from postbacks.insights.figures import FigureFilter, period
from postbacks.insights.overview.asked import AskedOverview, asked_overview
from postbacks.insights.overview.flow import ClockStep, clock_steps
from postbacks.insights.overview.page import overview_page
from postbacks.insights.overview.reading import Overview, read_overview
from postbacks.insights.overview.steps_chart import draw_steps, step_name
from postbacks.models import (
    CallbackRule,
    DuePostback,
    HeldPostback,
    HeldReason,
    PostbackStatus,
)
from tests import make
from tests.database import as_role
from tests.insights.credits import make_install
from tests.insights.logs import count_attempts, make_attempt, make_postback

pytestmark = pytest.mark.django_db(transaction=True)

BERLIN = ZoneInfo("Europe/Berlin")
KOLKATA = ZoneInfo("Asia/Kolkata")
NOW = datetime(2026, 8, 20, 15, 20, tzinfo=UTC)  # 17:20 in Berlin, 20:50 in Kolkata


@pytest.fixture
def of(transactional_db: None) -> make.Tenant:
    return make.make_tenant()


@pytest.fixture
def rule(of: make.Tenant) -> CallbackRule:
    return _rule(of)


def _rule(of: make.Tenant, **fields: object) -> CallbackRule:
    with tenant(of.organization.pk):
        return make.make_rule(partner=make.make_partner(), **fields)


def _read(of: make.Tenant, now: datetime = NOW, zone: ZoneInfo = BERLIN) -> Overview:
    with tenant(of.organization.pk):
        return read_overview(now=now, zone=zone)


def _hours(overview: Overview) -> dict[str, int]:
    return {
        step_name(it.step.start, it.step.end, overview.zone): it.tally.total
        for it in overview.steps
        if it.tally.total
    }


def clock_hours(now: datetime, zone: ZoneInfo) -> list[ClockStep]:
    hour = timedelta(hours=1)
    return clock_steps(period(now - 24 * hour, now, zone=zone, now=now, step=hour))


def test_hours_begin_where_the_organizations_clock_shows_a_full_hour() -> None:
    berlin = clock_hours(NOW, BERLIN)
    kolkata = clock_hours(NOW, KOLKATA)

    assert len(berlin) == 25
    assert [step_name(it.start, it.end, BERLIN) for it in (*berlin[:2], berlin[-1])] == [
        "17:20\N{EN DASH}18:00",
        "18:00\N{EN DASH}19:00",
        "17:00\N{EN DASH}17:20",
    ]
    assert [step_name(it.start, it.end, KOLKATA) for it in (*kolkata[:2], kolkata[-1])] == [
        "20:50\N{EN DASH}21:00",
        "21:00\N{EN DASH}22:00",
        "20:00\N{EN DASH}20:50",
    ]
    assert kolkata[1].start.minute == 30


def test_on_the_hour_there_are_twenty_four_whole_hours() -> None:
    now = NOW.replace(minute=0)

    hours = clock_hours(now, BERLIN)

    assert {hour.end - hour.start for hour in hours} == {timedelta(hours=1)}
    assert len(hours) == 24


def test_an_hour_that_the_clock_shows_twice_is_there_twice() -> None:
    now = datetime(2026, 10, 25, 10, 0, tzinfo=UTC)  # clocks went back at 01:00 UTC

    hours = clock_hours(now, BERLIN)

    names = [step_name(it.start, it.end, BERLIN) for it in hours]
    assert len(hours) == 24
    assert names[13:17] == [
        "01:00\N{EN DASH}02:00",
        "02:00\N{EN DASH}03:00 (CEST)",
        "02:00\N{EN DASH}03:00 (CET)",
        "03:00\N{EN DASH}04:00",
    ]


def test_an_hour_that_the_clock_leaves_out_is_not_there() -> None:
    now = datetime(2026, 3, 29, 10, 0, tzinfo=UTC)  # clocks went forward at 01:00 UTC

    hours = clock_hours(now, BERLIN)

    starts = [it.start.astimezone(BERLIN).hour for it in hours]
    assert len(hours) == 24
    assert starts[13:17] == [0, 1, 3, 4]


def test_a_clock_change_of_half_an_hour_leaves_no_gap() -> None:
    now = datetime(2026, 4, 5, 4, 10, tzinfo=UTC)  # Lord Howe went back by half an hour

    hours = clock_hours(now, ZoneInfo("Australia/Lord_Howe"))

    assert all(one.end == other.start for one, other in itertools.pairwise(hours))
    assert hours[0].start == now - timedelta(hours=24)
    assert hours[-1].end == now


@pytest.mark.parametrize(
    ("zone", "names"),
    [
        (BERLIN, ["16:00\N{EN DASH}17:00", "17:00\N{EN DASH}17:20"]),
        (KOLKATA, ["19:00\N{EN DASH}20:00", "20:00\N{EN DASH}20:50"]),
    ],
)
def test_a_postback_counts_in_the_hour_in_which_its_event_came(
    of: make.Tenant, rule: CallbackRule, zone: ZoneInfo, names: list[str]
) -> None:
    full_hour = datetime(2026, 8, 20, 15, 0, tzinfo=UTC)
    if zone is KOLKATA:
        full_hour -= timedelta(minutes=30)
    make_postback(of, rule, at=full_hour - timedelta(milliseconds=1))
    make_postback(of, rule, at=full_hour)

    overview = _read(of, zone=zone)

    assert _hours(overview) == dict.fromkeys(names, 1)


def test_the_day_begins_twenty_four_hours_ago_to_the_moment(
    of: make.Tenant, rule: CallbackRule
) -> None:
    start = NOW - timedelta(hours=24)
    make_postback(of, rule, at=start)
    make_postback(of, rule, at=start + timedelta(milliseconds=1))
    make_postback(of, rule, at=NOW)

    overview = _read(of)

    # The minutes in which a period begins and ends are whole; the next begins with the end.
    assert (overview.figures.wanted, overview.before.wanted) == (2, 0)
    assert (overview.figures.events, overview.before.events) == (2, 0)


def test_states_are_counted_and_test_sends_are_not(of: make.Tenant, rule: CallbackRule) -> None:
    at = NOW - timedelta(hours=2)
    for status in (*PostbackStatus.values, PostbackStatus.DELIVERED, PostbackStatus.DELIVERED):
        make_postback(of, rule, at=at, status=status)
    make_postback(of, rule, at=at, status=PostbackStatus.FAILED, test=True)

    total = _read(of).figures

    assert (total.delivered, total.failed, total.pending) == (3, 1, 1)
    assert (total.wanted, total.owed, total.success_percent) == (6, 5, 75)


def test_delivery_time_is_told_to_a_few_percent(of: make.Tenant, rule: CallbackRule) -> None:
    for seconds in (*[2.0] * 18, 40.0, 40.0):
        make_postback(of, rule, at=NOW - timedelta(hours=1), seconds=seconds)

    figures = _read(of).figures

    assert figures.delivery_seconds(0.5) == pytest.approx(2, rel=0.06)
    assert figures.delivery_seconds(0.95) == pytest.approx(40, rel=0.06)


def test_delivery_time_is_that_of_delivered_postbacks_alone(
    of: make.Tenant, rule: CallbackRule
) -> None:
    at = NOW - timedelta(hours=1)
    make_postback(of, rule, at=at, seconds=2)
    for status in (PostbackStatus.FAILED, PostbackStatus.PENDING, PostbackStatus.SKIPPED):
        make_postback(of, rule, at=at, status=status)

    assert _read(of).figures.delivery_seconds(0.5) == pytest.approx(2, rel=0.06)


def test_without_a_delivery_there_is_no_delivery_time(of: make.Tenant, rule: CallbackRule) -> None:
    make_postback(of, rule, at=NOW - timedelta(hours=1), status=PostbackStatus.FAILED)

    assert _read(of).figures.delivery_seconds(0.5) is None


def test_rules_are_ordered_by_failures_and_tries_that_go_on_count(of: make.Tenant) -> None:
    at = NOW - timedelta(hours=1)
    fine, some, most = _rule(of), _rule(of), _rule(of)
    make_postback(of, fine, at=at)
    make_postback(of, some, at=at, status=PostbackStatus.FAILED, reason="http_404")
    for code in (503, 503, None):
        retrying = make_postback(of, most, at=at, status=PostbackStatus.PENDING, attempts_made=1)
        count_attempts(retrying, code=str(code or "timeout"))
    make_postback(of, most, at=at)

    first, second = _read(of).troubles

    assert (first.rule_id, first.failed, first.retrying, first.delivered) == (most.pk, 0, 3, 1)
    assert (first.answer, first.success_percent) == ("http_503", 25)
    assert (second.rule_id, second.failed, second.answer) == (some.pk, 1, "http_404")


def test_newest_failures_are_those_whose_last_try_failed(
    of: make.Tenant, rule: CallbackRule
) -> None:
    at = NOW - timedelta(minutes=30)
    given_up = make_postback(of, rule, at=at, status=PostbackStatus.FAILED, attempts_made=1)
    recovered = make_postback(of, rule, at=at, attempts_made=2)
    retrying = make_postback(of, rule, at=at, status=PostbackStatus.PENDING, attempts_made=2)
    make_attempt(of, given_up, response={"body": "no"}, error="http_404", status_code=404)
    make_attempt(of, recovered, outcome="retry", number=1)
    make_attempt(of, retrying, outcome="retry", number=1)
    make_attempt(of, retrying, outcome="retry", number=2)

    failures = _read(of).failures

    assert [failure.postback_id for failure in failures] == [retrying.pk, given_up.pk]
    assert [failure.number for failure in failures] == [2, 1]
    assert failures[1].body == "no"


def test_what_comes_of_a_failure_is_said(of: make.Tenant, rule: CallbackRule) -> None:
    at = NOW - timedelta(minutes=30)
    waits = [NOW + timedelta(hours=1), NOW + timedelta(hours=12), None]
    for number, wait in enumerate(waits):
        make_attempt(
            of,
            make_postback(
                of,
                rule,
                at=at,
                status=PostbackStatus.PENDING,
                attempts_made=1,
                next_attempt_at=wait,
            ),
            outcome="retry",
            status_code=500 + number,
        )
    make_attempt(of, make_postback(of, rule, at=at, status="failed", attempts_made=3))

    page = overview_page(_read(of))

    assert [line.outlook for line in page.failures] == [
        "Given up after 3 tries",
        "Trying again now",
        "Trying again at 05:20 on Friday",
        "Trying again at 18:20",
    ]


def test_like_failures_are_one_group_with_the_newest_in_front(
    of: make.Tenant, rule: CallbackRule
) -> None:
    other_rule = _rule(of)
    for rule_of_it, minutes, code in [
        (rule, 9, 404),
        (rule, 8, 404),
        (rule, 7, 500),
        (other_rule, 6, 404),
        (rule, 5, 404),
    ]:
        failed = make_postback(
            of, rule_of_it, at=NOW - timedelta(minutes=minutes), status="failed", attempts_made=2
        )
        make_attempt(
            of, failed, status_code=code, error=f"http_{code}", response={"body": f"{minutes}"}
        )

    overview = _read(of)

    assert [(it.rule_id, it.status_code, it.count, it.body) for it in overview.failures] == [
        (rule.pk, 404, 3, "5"),
        (other_rule.pk, 404, 1, "6"),
        (rule.pk, 500, 1, "7"),
    ]
    first = overview_page(overview).failures[0]
    assert (first.subject, first.answer, first.outlook) == (
        "3 postbacks",
        "3 \N{MULTIPLICATION SIGN} HTTP 404",
        "Given up",
    )


def test_another_organizations_rows_are_never_counted(of: make.Tenant, rule: CallbackRule) -> None:
    other = make.make_tenant("Other")
    foreign = make_postback(
        other,
        _rule(other),
        at=NOW - timedelta(hours=1),
        status="failed",
        attempts_made=1,
        reason="http_500",
    )
    make_attempt(other, foreign)

    overview = _read(of)

    assert overview.figures.wanted == 0
    assert overview.figures.events == 0
    assert (overview.troubles, overview.failures, overview.rules) == ([], [], {})
    assert _read(other).figures.failed == 1


def test_it_takes_few_statements_that_read_no_other_days(
    of: make.Tenant, rule: CallbackRule
) -> None:
    """Whatever the period holds; of the logs only the newest failures are read."""
    make_postback(of, rule, at=NOW - timedelta(days=9))
    make_attempt(
        of, make_postback(of, rule, at=NOW - timedelta(hours=1), status="failed", attempts_made=1)
    )

    with tenant(of.organization.pk), CaptureQueriesContext(connection) as queries:
        read_overview(now=NOW, zone=BERLIN)
        plans = [_plan(query["sql"]) for query in queries.captured_queries]

    assert len(plans) == 15
    assert sum("postback_p20260820" in plan for plan in plans) == 1
    assert not any("event_p2026" in plan for plan in plans)
    assert not any("p20260811" in plan for plan in plans)


def _plan(statement: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(row[0] for row in cursor.fetchall())


@pytest.mark.parametrize(
    ("most", "ticks"),
    [
        (0, [0, 1]),
        (3, [0, 1, 2, 3]),
        (7, [0, 2, 4, 6, 8]),
        (23, [0, 5, 10, 15, 20, 25]),
        (99, [0, 20, 40, 60, 80, 100]),
        (4_047, [0, 1_000, 2_000, 3_000, 4_000, 5_000]),
    ],
)
def test_the_scale_has_a_few_round_numbers(most: int, ticks: list[int]) -> None:
    assert round_ticks(most) == ticks


def test_a_bar_is_as_wide_as_its_part_of_the_day_and_as_high_as_its_count(
    of: make.Tenant, rule: CallbackRule
) -> None:
    for status in ("delivered", "delivered", "delivered", "failed"):
        make_postback(of, rule, at=NOW - timedelta(minutes=5), status=status)

    chart = draw_steps(_read(of).steps, BERLIN)

    assert sum(bar.width for bar in chart.bars) == pytest.approx(100)
    assert chart.bars[-1].width == pytest.approx(100 / 24 / 3)  # 17:00 to 17:20
    assert [(it.state, it.height) for it in chart.bars[-1].pieces] == [
        ("delivered", 150),
        ("failed", 50),
    ]


def test_the_installs_say_how_many_somebody_earned(of: make.Tenant) -> None:
    with tenant(of.organization.pk):
        link = make.make_link(make.make_campaign(of.app, make.make_partner()))
    make_install(link, NOW - timedelta(hours=1))
    make_install(link, NOW - timedelta(hours=2))
    make_install(link, NOW - timedelta(hours=3), attribution_type="organic")
    make_install(link, NOW - timedelta(hours=30))

    overview = _read(of)

    (card,) = (it for it in overview_page(overview).cards if it.label == "Installs")
    assert (card.figure, card.note) == ("3", "2 attributed, 1 organic")


def test_what_waits_outside_the_queue_is_pending_too(of: make.Tenant, rule: CallbackRule) -> None:
    other = make.make_tenant("Other")
    _hold(other, _rule(other), HeldReason.RULE_OFF)
    assert _pending(of) == ("0", "nothing in the queue")

    paused = _rule(of, status="paused")
    _hold(of, paused, HeldReason.RULE_OFF)
    assert _pending(of) == ("1", "1 waits: its rule is off or suspended")

    _hold(of, _rule(of, status="suspended"), HeldReason.RULE_SUSPENDED)
    assert _pending(of) == ("2", "2 wait: their rule is off or suspended")

    queued = make_postback(of, rule, at=NOW, status=PostbackStatus.PENDING)
    with as_role(roles.WORKER), tenant(of.organization.pk):
        DuePostback.objects.create(
            postback=queued,
            event_received_at=NOW,
            rule=rule,
            host="ads.example.com",
            due_at=NOW - timedelta(minutes=9),
        )
    assert _pending(of) == (
        "3",
        "the first is 9\N{NO-BREAK SPACE}min late · 2 wait: their rule is off or suspended",
    )


def _hold(of: make.Tenant, rule: CallbackRule, reason: HeldReason) -> None:
    postback = make_postback(of, rule, at=NOW, status=PostbackStatus.PENDING)
    with as_role(roles.WORKER), tenant(of.organization.pk):
        HeldPostback.objects.create(
            postback=postback,
            event_received_at=NOW,
            rule=rule,
            due_at=NOW,
            reason=reason,
            held_at=NOW,
        )


def _pending(of: make.Tenant) -> tuple[str, str]:
    (card,) = (it for it in overview_page(_read(of)).cards if it.label == "Pending")
    return card.figure, card.note


def _asked(of: make.Tenant, **parameters: str) -> AskedOverview:
    with tenant(of.organization.pk):
        return asked_overview(parameters, now=NOW, zone=BERLIN)


@pytest.mark.parametrize(
    ("parameters", "since", "until", "step", "label"),
    [
        ({"period": "10m"}, "17:10", "17:20", "0:01:00", "the last 10 minutes"),
        ({"period": "1h"}, "16:20", "17:20", "0:05:00", "the last hour"),
        ({"period": "6h"}, "11:20", "17:20", "0:15:00", "the last 6 hours"),
        ({}, "19 17:20", "17:20", "1:00:00", "the last 24 hours"),
        ({"period": "7d"}, "14 00:00", "17:20", "6:00:00", "the last 7 days"),
        ({"period": "30d"}, "22 00:00", "17:20", "1 day, 0:00:00", "the last 30 days"),
        ({"period": "90d"}, "23 00:00", "17:20", "1 day, 0:00:00", "the last 90 days"),
        ({"since": "2026-08-20T09:05"}, "09:05", "17:20", "0:15:00", ""),
        (
            {"since": "2026-08-20T09:05Z", "until": "2026-08-20T09:30Z"},
            "11:05",
            "11:30",
            "0:05",
            "",
        ),
        ({"since": "2026-01-01", "until": "2026-03-01"}, "01 00:00", "01 00:00", "1 day", ""),
        ({"until": "2099-01-01"}, "19 17:20", "17:20", "1:00:00", ""),
    ],
)
def test_the_address_says_which_period_is_shown(
    of: make.Tenant, parameters: dict[str, str], since: str, until: str, step: str, label: str
) -> None:
    asked = _asked(of, **parameters)

    assert f"{asked.of.since.astimezone(BERLIN):%d %H:%M}".endswith(since)
    assert f"{asked.of.until.astimezone(BERLIN):%d %H:%M}".endswith(until)
    assert str(asked.of.step).startswith(step)
    assert asked.label.startswith(label)
    assert asked.problems == []
    assert asked.before.until - asked.before.since == pytest.approx(
        asked.of.until - asked.of.since, abs=timedelta(hours=2)
    )
    assert asked.before.since < asked.of.since
    again = dict(parse_qsl(asked.address().removeprefix("?")))
    assert _asked(of, **again).of == asked.of


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"period": "week"}, "There is no period “week”"),
        ({"since": "yesterday"}, "“yesterday” is not a date and time"),
        ({"since": "2026-08-20T12:00", "until": "2026-08-20T11:00"}, "ends before it begins"),
        ({"since": "2026-09-20T12:00"}, "has not begun"),
        ({"since": "2020-01-01T00:00"}, "at most 366 days"),
        ({"rule": "999"}, "There is no rule “999”"),
        ({"app": "x" * 100}, "There is no app “"),
        ({"partner": "9" * 30}, "There is no partner"),
        ({"since": "0001-01-01", "until": "9999-12-31"}, ""),
    ],
)
def test_what_is_no_period_or_row_is_named_and_left_out(
    of: make.Tenant, parameters: dict[str, str], problem: str
) -> None:
    asked = _asked(of, **parameters)

    assert problem in " ".join(asked.problems)
    assert asked.problems
    assert asked.only == FigureFilter()


def test_filters_narrow_what_is_shown_and_stay_in_the_address(
    of: make.Tenant, rule: CallbackRule
) -> None:
    other = _rule(of)
    make_postback(of, rule, at=NOW - timedelta(hours=1), status="failed", reason="http_404")
    make_postback(of, other, at=NOW - timedelta(hours=1))

    with tenant(of.organization.pk):
        asked = asked_overview({"rule": str(rule.pk), "period": "6h"}, now=NOW, zone=BERLIN)
        overview = read_overview(now=NOW, zone=BERLIN, asked=asked)
        page = overview_page(overview)

    assert (overview.figures.wanted, overview.figures.failed, overview.events) == (1, 1, 2)
    stages = {stage.label: stage for stage in page.flow}
    assert (stages["Events"].figure, stages["Owed"].figure) == ("2", "1")
    links = {link.label: link for link in stages["Owed"].links}
    assert (links["failed"].figure, links["delivered"].figure) == ("1", "0")
    for part in ("status=failed", f"rule={rule.pk}", "since=2026-08-20T09%3A20", "test=no"):
        assert part in links["failed"].url
    assert all(f"rule={rule.pk}" in link.url for link in page.periods)
    assert [link.text for link in page.periods if link.is_shown] == ["6 h"]


def test_a_period_is_shown_beside_the_one_before(of: make.Tenant, rule: CallbackRule) -> None:
    for hours, count in ((30, 20), (2, 25)):
        for _ in range(count):
            make_postback(of, rule, at=NOW - timedelta(hours=hours))

    cards = {card.label: card for card in overview_page(_read(of)).cards}

    assert cards["Delivered"].note == "+25\N{NO-BREAK SPACE}% to the 24 hours before"
    assert cards["Success rate"].figure == "100\N{NO-BREAK SPACE}%"
