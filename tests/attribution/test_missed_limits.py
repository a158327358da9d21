"""A reason that is about a limit names it, and what was measured, in one unit."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from postbacks.attribution import reasons
from postbacks.attribution.evidence import (
    CandidateTouchpoint,
    InstallEvidence,
    Settings,
    SettingsByScope,
)
from postbacks.attribution.missed_limits import in_one_unit
from postbacks.attribution.waterfall import attribute
from tests.attribution.touches import ADDRESS, GAID, INSTALLED, install, touch

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
BY_ADDRESS = Settings(
    probabilistic_clicks=True,
    probabilistic_impressions=True,
    probabilistic_click_window=HOUR,
    probabilistic_impression_window=30 * MINUTE,
)


def _sentence(
    touchpoint: CandidateTouchpoint,
    settings: Settings = BY_ADDRESS,
    evidence: InstallEvidence | None = None,
) -> str:
    verdict = attribute(
        evidence or install(GAID, ADDRESS), [touchpoint], SettingsByScope(app=settings)
    )
    (candidate,) = verdict.candidates
    return reasons.of_reason(candidate.reason, candidate.missed)


@pytest.mark.parametrize(
    ("before", "fields", "settings", "sentence"),
    [
        (
            90 * MINUTE,
            {"identifiers": frozenset({ADDRESS})},
            BY_ADDRESS,
            "It happened 90 min before the install, window 60 min for probabilistic clicks.",
        ),
        (
            3 * HOUR,
            {"identifiers": frozenset({ADDRESS}), "kind": "impression"},
            BY_ADDRESS,
            "It happened 180 min before the install, window 30 min for probabilistic impressions.",
        ),
        (
            8 * DAY + 3 * HOUR,
            {},
            BY_ADDRESS,
            "It happened 8 days before the install, window 7 days for clicks.",
        ),
        (
            7 * DAY + 5 * HOUR,
            {},
            BY_ADDRESS,
            "It happened 173 h before the install, window 168 h for clicks.",
        ),
        (
            7 * DAY + SECOND,
            {},
            BY_ADDRESS,
            "It happened 7 days and 1 s before the install, window 7 days for clicks.",
        ),
        (
            25 * HOUR,
            {"kind": "impression"},
            BY_ADDRESS,
            "It happened 25 h before the install, window 24 h for impressions.",
        ),
        (
            2 * DAY,
            {"kind": "impression"},
            BY_ADDRESS,
            "It happened 2 days before the install, window 1 day for impressions.",
        ),
        (
            31 * DAY,
            {"source": "claim", "params": {"claimed_by": "adservices"}},
            BY_ADDRESS,
            "It happened 31 days before the install, window 30 days for Apple's clicks.",
        ),
        (
            MINUTE,
            {"received_at": INSTALLED + 13 * HOUR},
            BY_ADDRESS,
            "The partner reported it 13 h after it happened, limit 12 h.",
        ),
        (
            MINUTE,
            {"received_at": INSTALLED - 8 * MINUTE},
            BY_ADDRESS,
            "Its time lies 7 min after the moment at which it was reported, limit 5 min.",
        ),
        (
            -40 * SECOND,
            {},
            BY_ADDRESS,
            "It happened 40 s after the app was opened for the first time, limit 5 s.",
        ),
        (
            1.4 * SECOND,
            {},
            BY_ADDRESS,
            "Rejected as fraud. The click came 1.4 s before the first open, at least 2 s is "
            "possible: somebody saw the install and claims it.",
        ),
        (
            1.95 * SECOND,
            {},
            Settings(),
            "Rejected as fraud. The click came 1.95 s before the first open, at least 2 s is "
            "possible: somebody saw the install and claims it.",
        ),
        (
            -3 * SECOND,
            {},
            BY_ADDRESS,
            "Rejected as fraud. The click came 3 s after the first open, at least 2 s before it "
            "is possible: somebody saw the install and claims it.",
        ),
        (
            20 * SECOND,
            {},
            Settings(least_time_to_install=MINUTE),
            "Rejected as fraud. The click came 20 s before the first open, at least 60 s is "
            "possible: somebody saw the install and claims it.",
        ),
    ],
)
def test_a_touchpoint_that_missed_a_limit_says_both_figures(
    before: timedelta, fields: dict[str, object], settings: Settings, sentence: str
) -> None:
    assert _sentence(touch(1, GAID, before=before, **fields), settings) == sentence


def test_the_download_and_a_return_have_limits_of_their_own() -> None:
    by_device_clock = install(GAID, install_begin_at=INSTALLED - MINUTE)
    by_store_clock = install(GAID, install_begin_at=INSTALLED - MINUTE, has_server_begin_time=True)
    returning = install(GAID, is_return=True)
    click = touch(1, GAID, before=18 * SECOND)
    impression = touch(1, GAID, before=18 * SECOND, kind="impression")
    old = touch(1, GAID, before=3 * DAY)

    sentences = (
        _sentence(click, evidence=by_device_clock),
        _sentence(impression, evidence=by_store_clock),
        _sentence(click, evidence=by_store_clock),
        _sentence(old, Settings(reengagement_window=DAY), evidence=returning),
    )

    assert sentences == (
        "It happened 42 s after the download had begun, limit 5 s, so it can't have led to it.",
        "It happened 42 s after the download had begun, limit 0 s, so it can't have led to it.",
        "Rejected as fraud. The click came 42 s after the download had begun, limit 0 s: somebody "
        "saw the install and claims it.",
        "It happened 3 days before the install, window 1 day for clicks of devices that come back.",
    )


def test_a_partner_that_reports_too_often_sees_how_often() -> None:
    touches = [touch(n, GAID, before=n * MINUTE, partner_id=1) for n in range(1, 5)]
    settings = SettingsByScope(app=Settings(most_touches_per_hour=3))

    verdict = attribute(install(GAID), touches, settings)

    (sentence,) = {reasons.of_reason(c.reason, c.missed) for c in verdict.candidates}
    assert sentence == (
        "Rejected as fraud. The partner reported 4 touchpoints of this device within one hour, "
        "limit 3."
    )
    assert {(r.missed.measured, r.missed.limit) for r in verdict.rejections if r.missed} == {(4, 3)}


@pytest.mark.parametrize(
    ("code", "make"),
    [
        ("older", lambda: [touch(1, GAID), touch(2, GAID, before=2 * HOUR)]),
        ("lower_tier", lambda: [touch(1, GAID), touch(2, GAID, kind="impression")]),
        ("no_match", lambda: [touch(1, "advertising:another")]),
        ("rejected:incorrect_signature", lambda: [touch(1, GAID, refused="incorrect_signature")]),
    ],
)
def test_a_reason_without_a_limit_has_its_sentence_alone(
    code: str, make: Callable[[], list[CandidateTouchpoint]]
) -> None:
    verdict = attribute(install(GAID), make(), SettingsByScope())

    candidate = next(c for c in verdict.candidates if c.reason == code)

    assert candidate.missed is None
    assert reasons.of_reason(code, candidate.missed) == reasons.of_reason(code)


@pytest.mark.parametrize(
    ("measured", "limit", "texts"),
    [
        (90 * MINUTE, HOUR, ("90 min", "60 min")),
        (2 * HOUR, HOUR, ("2 h", "1 h")),
        (61 * MINUTE, HOUR, ("61 min", "60 min")),
        (HOUR + SECOND, HOUR, ("1 h and 1 s", "1 h")),
        (400 * MINUTE, 6 * HOUR, ("400 min", "360 min")),
        (DAY + timedelta(milliseconds=5), DAY, ("1 day and 0.005 s", "1 day")),
        (30 * DAY, DAY, ("30 days", "1 day")),
        (timedelta(milliseconds=300), 2 * SECOND, ("0.3 s", "2 s")),
        (timedelta(microseconds=1), timedelta(0), ("less than 0.001 s", "0 s")),
    ],
)
def test_both_figures_are_in_one_unit_in_which_they_differ(
    measured: timedelta, limit: timedelta, texts: tuple[str, str]
) -> None:
    assert in_one_unit(measured, limit) == texts
