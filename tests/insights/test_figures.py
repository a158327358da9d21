"""A period's figures are the sum of what was counted in it, however its spans are cut."""

import random
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps_registry.models import Organization
from apps_registry.tenancy import tenant
from postbacks.infrastructure.database import roles
from postbacks.insights import figure_changes
from postbacks.insights.figure_parts import Subject
from postbacks.insights.figures import (
    FigureFilter,
    TooManyFiguresError,
    period,
    read_figures,
    sum_up,
)
from tests import database, make

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
ZONES = ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe"]
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PERIODS = [
    *((10 * MINUTE, MINUTE), (HOUR, MINUTE), (6 * HOUR, 15 * MINUTE), (DAY, HOUR), (2 * DAY, HOUR)),
    *((7 * DAY, 6 * HOUR), (7 * DAY, DAY), (30 * DAY, DAY), (90 * DAY, DAY), (59 * DAY, None)),
    *((3 * MINUTE, None), (26 * HOUR, None), (119 * DAY, None)),
]


def count(of: make.Tenant, moments: list[datetime]) -> None:
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO figure_change (organization_id, at, kind, event_name, count)"
            " VALUES (%s, minute_of(%s), 'event', 'open', 1)",
            [(of.organization.pk, moment) for moment in moments],
        )


@pytest.mark.parametrize("name", ZONES)
def test_a_period_is_the_sum_of_its_steps_in_every_zone(name: str) -> None:
    zone = ZoneInfo(name)
    gem, other = make.make_tenant(), make.make_tenant("Other")
    Organization.objects.update(time_zone=name)
    chance = random.Random(7)  # noqa: S311  # no secret
    ages = [chance.random() ** 4 * 120 * DAY for _ in range(400)]
    moments = [NOW - age for age in ages]
    count(gem, moments)
    count(other, moments[:50])
    with database.as_role(roles.WORKER):
        figure_changes.fold(60)
        figure_changes.delete_old_figures()
    late = [NOW - chance.random() * 2 * DAY for _ in range(20)]
    count(gem, late)  # and not folded
    moments += late

    for length, step in PERIODS:
        for end in (NOW, NOW - 17 * HOUR, NOW - timedelta(days=1, minutes=7)):
            of = period(end - length, end, zone=zone, now=NOW, step=step)
            with tenant(gem.organization.pk):
                found = read_figures(of)
            case = (length, step, end)
            assert sum_up(found.values()).events == sum(
                of.since <= moment < of.until for moment in moments
            ), case
            edges = [*of.starts, of.until]
            for place, (first, last) in enumerate(pairwise(edges), 1):
                expected = sum(first <= moment < last for moment in moments)
                part = found.get((place, ""))
                assert (part.events if part else 0) == expected, (case, first, last)


def test_steps_begin_where_the_clock_on_the_wall_shows_them() -> None:
    zone = ZoneInfo("Asia/Kathmandu")
    now = datetime(2026, 5, 4, 10, 7, 30, tzinfo=UTC)  # 15:52:30 there

    of = period(now - 3 * HOUR, now, zone=zone, now=now, step=HOUR)

    assert [f"{start.astimezone(zone):%H:%M}" for start in of.starts] == [
        *("12:52", "13:00", "14:00", "15:00"),
    ]
    assert of.until == datetime(2026, 5, 4, 10, 8, tzinfo=UTC)  # the minute of now included


def test_an_hour_that_the_clock_repeats_is_two_steps_and_a_long_day_is_one() -> None:
    zone = ZoneInfo("Europe/Berlin")
    now = datetime(2026, 10, 25, 4, tzinfo=UTC)  # the clock went back at 1:00 UTC

    hours = period(now - 4 * HOUR, now, zone=zone, now=now, step=HOUR)
    quarters_of_days = period(now - DAY, now + DAY, zone=zone, now=now + DAY, step=6 * HOUR)
    days = period(now - 3 * DAY, now + DAY, zone=zone, now=now, step=DAY)

    assert [f"{start.astimezone(zone):%H:%M}" for start in hours.starts][:4] == [
        *("02:00", "02:00", "03:00", "04:00"),
    ]
    assert [f"{start.astimezone(zone):%d %H:%M}" for start in quarters_of_days.starts][3:7] == [
        *("25 00:00", "25 06:00", "25 12:00", "25 18:00"),
    ]
    assert [f"{start.astimezone(zone):%d %H:%M}" for start in days.starts][1:] == [
        *("23 00:00", "24 00:00", "25 00:00"),
    ]


def test_what_belongs_to_none_is_a_subject_too_and_filters_leave_the_rest_out() -> None:
    gem = make.make_tenant()
    with database.as_role(roles.WORKER), connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO figure_change (organization_id, at, kind, app_ref, partner_ref, rule_ref,"
            " state, count) VALUES (%s, minute_of(now()), %s, %s, %s, %s, %s, %s)",
            [
                (gem.organization.pk, "event", 1, 7, 0, "", 5),
                (gem.organization.pk, "event", 2, 0, 0, "", 3),
                (gem.organization.pk, "postback", 1, 0, 9, "delivered", 2),
                (gem.organization.pk, "postback", 1, 0, 9, "failed", 1),
                (gem.organization.pk, "postback", 2, 0, 8, "skipped", 4),
            ],
        )
    of = period(NOW - HOUR, NOW + HOUR, zone=ZoneInfo("UTC"), now=datetime.now(UTC))

    with tenant(gem.organization.pk):
        by_rule = read_figures(of, by=Subject.RULE)
        of_rule = read_figures(of, only=FigureFilter(rule=9))[0, ""]
        of_app = read_figures(of, only=FigureFilter(app=2))[0, ""]
        of_partner = read_figures(of, only=FigureFilter(partner=7))[0, ""]
        nothing = read_figures(of, only=FigureFilter(app=-1))

    counts = {subject: (f.events, f.wanted) for (_, subject), f in by_rule.items()}
    assert counts == {"0": (8, 0), "8": (0, 4), "9": (0, 3)}
    assert (of_rule.events, of_rule.wanted, of_rule.owed, of_rule.failed) == (8, 3, 3, 1)
    assert of_rule.success_percent == pytest.approx(66.67, abs=0.01)
    assert (of_app.events, of_app.wanted, of_app.owed) == (3, 4, 0)
    assert (of_partner.events, of_partner.wanted) == (5, 0)
    assert nothing == {}


def test_more_groups_than_somebody_wants_are_not_loaded() -> None:
    gem = make.make_tenant()
    moments = [NOW - number * HOUR for number in range(1, 13)]
    count(gem, moments)
    of = period(NOW - DAY, NOW, zone=ZoneInfo("UTC"), now=NOW, step=HOUR)

    with tenant(gem.organization.pk):
        assert len(read_figures(of, by=Subject.EVENT_NAME, most=12)) == 12
        with CaptureQueriesContext(connection) as queries, pytest.raises(TooManyFiguresError):
            read_figures(of, by=Subject.EVENT_NAME, most=11)
        with connection.cursor() as cursor:
            cursor.execute(queries[-1]["sql"])
            assert len(cursor.fetchall()) == 1
