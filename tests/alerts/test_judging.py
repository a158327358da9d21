"""What alerts say of figures, and when an incident begins and ends."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from postbacks.alerts.judging import (
    FEWEST_ATTEMPTS,
    UNKNOWN,
    WELL,
    BreakerEvidence,
    Evidence,
    Judgment,
    Limits,
    OpenIncident,
    RateEvidence,
    SilenceEvidence,
    Step,
    SuspensionEvidence,
    Verdict,
    VolumeEvidence,
    count_raised,
    end_of_quiet,
    judge,
    next_step,
)

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RAISED = Verdict(Judgment.RAISED, 42.0)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("limits", "evidence", "judgment"),
    [
        (Limits(90), RateEvidence(100, 89), Judgment.RAISED),
        (Limits(90), RateEvidence(100, 90), Judgment.WELL),
        (Limits(90), RateEvidence(FEWEST_ATTEMPTS - 1, 0), Judgment.UNKNOWN),
        (Limits(90), RateEvidence(FEWEST_ATTEMPTS, 0), Judgment.RAISED),
        (Limits(90), RateEvidence(0, 0), Judgment.UNKNOWN),
        (Limits(), SilenceEvidence(0, 1_000), Judgment.RAISED),
        (Limits(), SilenceEvidence(1, 0), Judgment.WELL),
        (Limits(), SilenceEvidence(0, 0), Judgment.UNKNOWN),
        (Limits(50), VolumeEvidence(150, (100,) * 7), Judgment.RAISED),
        (Limits(50), VolumeEvidence(149, (100,) * 7), Judgment.WELL),
        (Limits(50), VolumeEvidence(50, (100,) * 7), Judgment.RAISED),
        (Limits(50, counts_drops=False), VolumeEvidence(0, (100,) * 7), Judgment.WELL),
        (Limits(50, counts_rises=False), VolumeEvidence(900, (100,) * 7), Judgment.WELL),
        (Limits(50), VolumeEvidence(150, (100, 100, 0, 0, 0, 0, 0)), Judgment.UNKNOWN),
        (Limits(50), VolumeEvidence(40, (10,) * 7), Judgment.UNKNOWN),
        (Limits(50), VolumeEvidence(500, (100, 90, 110, 5_000, 100, 95, 105)), Judgment.RAISED),
        (Limits(50), SuspensionEvidence(49), Judgment.WELL),
        (Limits(50), SuspensionEvidence(55), Judgment.RAISED),
        (Limits(100), SuspensionEvidence(99), Judgment.WELL),
        (Limits(100), SuspensionEvidence(100), Judgment.RAISED),
        (Limits(minutes=5), BreakerEvidence(4 * MINUTE), Judgment.WELL),
        (Limits(minutes=5), BreakerEvidence(5 * MINUTE), Judgment.RAISED),
    ],
)
def test_each_kind_is_raised_from_its_limit_on(
    limits: Limits, evidence: Evidence, judgment: Judgment
) -> None:
    assert judge(limits, evidence).judgment is judgment


@pytest.mark.parametrize(
    ("percent", "level"), [(50, 50), (69, 50), (70, 70), (90, 90), (99, 90), (100, 100)]
)
def test_a_rule_on_its_way_to_suspension_is_told_of_at_four_levels(
    percent: int, level: int
) -> None:
    assert judge(Limits(50), SuspensionEvidence(percent)).level == level


@pytest.mark.parametrize(
    ("incident", "verdict", "step"),
    [
        (None, RAISED, Step.RAISE),
        (None, WELL, Step.NONE),
        (None, UNKNOWN, Step.NONE),
        (OpenIncident(0, NOW - MINUTE), RAISED, Step.NONE),
        (OpenIncident(0, NOW - 6 * MINUTE), RAISED, Step.SEE),
        (OpenIncident(50, NOW), Verdict(Judgment.RAISED, 70.0, 70), Step.RAISE_LEVEL),
        (OpenIncident(70, NOW), Verdict(Judgment.RAISED, 50.0, 50), Step.NONE),
        (OpenIncident(0, NOW), WELL, Step.BEGIN_WELL),
        (OpenIncident(0, NOW, well_since=NOW - 4 * MINUTE), WELL, Step.NONE),
        (OpenIncident(0, NOW, well_since=NOW - 5 * MINUTE), WELL, Step.CLEAR),
        (OpenIncident(0, NOW, well_since=NOW - 5 * MINUTE), RAISED, Step.SEE),
        (OpenIncident(0, NOW - timedelta(hours=23)), UNKNOWN, Step.NONE),
        (OpenIncident(0, NOW - timedelta(days=1)), UNKNOWN, Step.FORGET),
    ],
)
def test_an_incident_changes_once_per_change_of_state(
    incident: OpenIncident | None, verdict: Verdict, step: Step
) -> None:
    assert next_step(incident, verdict, NOW, well_for=5 * MINUTE) is step


def test_what_needs_no_rest_clears_at_once() -> None:
    assert next_step(OpenIncident(0, NOW), WELL, NOW, well_for=timedelta(0)) is Step.CLEAR


def test_a_value_around_its_limit_is_raised_once() -> None:
    verdicts = [(NOW + n * MINUTE, RAISED if n % 2 else WELL) for n in range(60)]
    verdicts += [(NOW + n * MINUTE, WELL) for n in range(60, 70)]
    verdicts += [(NOW + 70 * MINUTE, RAISED)]

    raised = count_raised(verdicts, well_for=5 * MINUTE)

    assert raised == (NOW + MINUTE, NOW + 70 * MINUTE)


@pytest.mark.parametrize(
    ("local", "end"),
    [
        (datetime(2026, 11, 30, 23, 30, tzinfo=BERLIN), datetime(2026, 12, 1, 7, tzinfo=BERLIN)),
        (datetime(2026, 11, 30, 6, 59, tzinfo=BERLIN), datetime(2026, 11, 30, 7, tzinfo=BERLIN)),
        (datetime(2026, 11, 30, 7, 0, tzinfo=BERLIN), None),
        (datetime(2026, 11, 30, 21, 59, tzinfo=BERLIN), None),
        (datetime(2026, 11, 30, 22, 0, tzinfo=BERLIN), datetime(2026, 12, 1, 7, tzinfo=BERLIN)),
    ],
)
def test_quiet_hours_reach_over_midnight(local: datetime, end: datetime | None) -> None:
    assert end_of_quiet(local, time(22), time(7)) == end


def test_quiet_hours_of_a_day_and_none() -> None:
    noon = datetime(2026, 11, 30, 12, 30, tzinfo=BERLIN)

    assert end_of_quiet(noon, time(12), time(14)) == noon.replace(hour=14, minute=0)
    assert end_of_quiet(noon, time(14), time(16)) is None
    assert end_of_quiet(noon, None, None) is None
    assert end_of_quiet(noon, time(12), time(12)) is None
