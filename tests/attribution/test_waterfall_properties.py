"""What holds of every verdict, whatever touchpoints there are."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from postbacks.attribution import reasons, windows
from postbacks.attribution.causes import cause_of_change
from postbacks.attribution.evidence import (
    CandidateTouchpoint,
    InstallEvidence,
    Settings,
    SettingsByScope,
)
from postbacks.attribution.waterfall import attribute
from tests.attribution.touches import ADDRESS, GAID, INSTALLED, PROBABILISTIC, install, touch

_NAMES = ("click_id:c", "sha1:" + "0" * 40, GAID, ADDRESS, "advertising:someone-else")
_SECONDS = st.one_of(
    st.integers(-120, 120), st.integers(-120, 9 * 86_400), st.sampled_from([86_400, 604_800])
)


@st.composite
def _touches(draw: st.DrawFn, number: int) -> CandidateTouchpoint:
    before = timedelta(seconds=draw(_SECONDS))
    told_after = timedelta(minutes=draw(st.sampled_from([0, 0, 0, 1, 719, 721])))
    return touch(
        number,
        *draw(st.lists(st.sampled_from(_NAMES), max_size=2)),
        before=before,
        kind=draw(st.sampled_from(["click", "click", "impression"])),
        received_at=INSTALLED - before + told_after,
        partner_id=draw(st.integers(1, 3)),
        device_model=draw(st.sampled_from(["", "Pixel 8", "Pixel 9"])),
        refused=draw(st.sampled_from(["", "", "", "anonymous_traffic"])),
    )


@st.composite
def _stories(draw: st.DrawFn) -> list[CandidateTouchpoint]:
    count = draw(st.integers(0, 14))
    return [draw(_touches(number)) for number in range(1, count + 1)]


_installs = st.builds(
    lambda begin, is_return, of_server: install(
        "click_id:c",
        "sha1:" + "0" * 40,
        GAID,
        ADDRESS,
        install_begin_at=None if begin is None else INSTALLED - timedelta(seconds=begin),
        has_server_begin_time=of_server and begin is not None,
        is_return=is_return,
    ),
    st.one_of(st.none(), st.integers(0, 7_200)),
    st.booleans(),
    st.booleans(),
)
_scopes = st.builds(
    lambda is_on, hours: SettingsByScope(
        Settings(
            probabilistic_clicks=is_on,
            probabilistic_impressions=is_on,
            click_window=timedelta(hours=hours),
        )
    ),
    st.booleans(),
    st.sampled_from([1, 24, 168, 720]),
)
# Stories that probabilistic matches decide, which the random ones above seldom are.
_probabilistic = st.lists(
    st.tuples(
        st.sampled_from([ADDRESS, ADDRESS, ADDRESS, GAID]),
        st.integers(60, 7_200),
        st.sampled_from(["click", "impression"]),
        st.sampled_from(["", "Pixel 8", "Pixel 9"]),
    ),
    max_size=5,
).map(
    lambda rows: [
        touch(number, name, before=timedelta(seconds=before), kind=kind, device_model=model)
        for number, (name, before, kind, model) in enumerate(rows, start=1)
    ]
)
_played = st.one_of(
    st.tuples(_stories(), _installs, _scopes),
    st.tuples(_probabilistic, st.just(install(GAID, ADDRESS)), st.just(PROBABILISTIC)),
)
_bounded = settings(max_examples=150, deadline=None)


@_bounded
@given(_played, st.randoms())
def test_the_order_of_arrival_changes_nothing(
    played: tuple[list[CandidateTouchpoint], InstallEvidence, SettingsByScope], random: object
) -> None:
    story, evidence, scopes = played
    shuffled = list(story)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # a Random

    assert attribute(evidence, shuffled, scopes) == attribute(evidence, story, scopes)


@_bounded
@given(_played, st.randoms(), st.integers(0, 14))
def test_an_install_that_comes_among_its_touchpoints_ends_with_the_same_winner(
    played: tuple[list[CandidateTouchpoint], InstallEvidence, SettingsByScope],
    random: object,
    before: int,
) -> None:
    """The install is credited at once, and reevaluated for each touchpoint that comes later."""
    story, evidence, scopes = played
    arriving = list(story)
    random.shuffle(arriving)  # type: ignore[attr-defined]  # a Random
    credited = attribute(evidence, arriving[:before], scopes).credit.touchpoint

    for arrived in range(before + 1, len(arriving) + 1):
        verdict = attribute(evidence, arriving[:arrived], scopes)
        if cause_of_change(credited.id if credited else None, verdict):
            credited = verdict.credit.touchpoint

    assert credited == attribute(evidence, story, scopes).credit.touchpoint


@_bounded
@given(_played)
def test_the_winner_is_inside_its_window_and_before_the_bound(
    played: tuple[list[CandidateTouchpoint], InstallEvidence, SettingsByScope],
) -> None:
    story, evidence, scopes = played
    credit = attribute(evidence, story, scopes).credit

    if credit.touchpoint is not None:
        assert credit.window is not None
        assert evidence.installed_at - credit.touchpoint.occurred_at <= credit.window
        assert credit.touchpoint.occurred_at <= windows.bound(evidence)
        assert not credit.touchpoint.refused


@_bounded
@given(_played)
def test_every_touchpoint_has_a_reason_that_people_can_read(
    played: tuple[list[CandidateTouchpoint], InstallEvidence, SettingsByScope],
) -> None:
    story, evidence, scopes = played
    verdict = attribute(evidence, story, scopes)

    assert {candidate.touchpoint.id for candidate in verdict.candidates} == {
        touchpoint.id for touchpoint in story
    }
    assert [candidate.reason for candidate in verdict.candidates].count("won") == (
        verdict.credit.touchpoint is not None
    )
    assert all(
        "does not know" not in reasons.of_reason(candidate.reason)
        for candidate in verdict.candidates
    )


@_bounded
@given(_stories(), _installs, _scopes, st.data())
def test_a_touchpoint_that_loses_alone_against_the_winner_changes_nothing_beside_others(
    story: list[CandidateTouchpoint],
    evidence: InstallEvidence,
    scopes: SettingsByScope,
    data: st.DataObject,
) -> None:
    """A proven touchpoint of another partner changes no other's chances."""
    winner = attribute(evidence, story, scopes).credit.touchpoint
    names = data.draw(st.lists(st.sampled_from([_NAMES[0], GAID, _NAMES[4]]), max_size=1))
    before = timedelta(seconds=data.draw(_SECONDS))
    added = touch(99, *names, before=before, partner_id=99)
    duel = [added] if winner is None else [added, winner]
    loses = attribute(evidence, duel, scopes).credit.touchpoint != added

    together = attribute(evidence, [*story, added], scopes).credit.touchpoint

    assert together == (winner if loses else added)
