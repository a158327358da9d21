"""The install goes to the last touchpoint of the best kind, and every other one has its reason."""

from datetime import timedelta
from uuid import UUID

import pytest

from postbacks.attribution import reasons
from postbacks.attribution.evidence import Settings, SettingsByScope, WaterfallVerdict
from postbacks.attribution.waterfall import attribute
from tests.attribution.touches import ADDRESS, GAID, INSTALLED, PROBABILISTIC, install, touch

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
EVERYWHERE = SettingsByScope()


def test_without_touchpoints_an_install_is_organic() -> None:
    verdict = attribute(install(GAID), (), EVERYWHERE)

    assert (verdict.credit.type, verdict.candidates) == ("organic", ())


def test_the_last_click_wins_and_the_others_have_their_reasons() -> None:
    last = touch(1, GAID, before=MINUTE)
    older = touch(2, GAID, before=DAY)
    impression = touch(3, GAID, before=timedelta(seconds=30), kind="impression")
    too_old = touch(4, GAID, before=8 * DAY)
    others = touch(5, "advertising:another")

    verdict = attribute(install(GAID), (older, too_old, impression, last, others), EVERYWHERE)

    assert verdict.credit.touchpoint == last
    assert (verdict.credit.type, verdict.credit.method) == ("click", "advertising_id")
    assert verdict.credit.window == 7 * DAY
    assert _reasons(verdict) == {
        1: "won",
        2: "older",
        3: "lower_tier",
        4: "out_of_window",
        5: "no_match",
    }


def test_at_one_moment_the_referrer_wins_over_a_claim_and_that_over_an_id() -> None:
    by_id, by_claim = touch(3, GAID), touch(2, "install_id:a", source="claim")
    by_referrer = touch(1, "click_id:c")
    evidence = install(
        GAID, "install_id:a", "click_id:c", referrer_identifiers=frozenset({"click_id:c"})
    )

    verdict = attribute(evidence, (by_id, by_claim, by_referrer), EVERYWHERE)
    without_referrer = attribute(evidence, (by_id, by_claim), EVERYWHERE)

    assert (verdict.credit.touchpoint, verdict.credit.method) == (by_referrer, "referrer")
    assert _reasons(verdict) == {1: "won", 2: "tie", 3: "tie"}
    assert (without_referrer.credit.touchpoint, without_referrer.credit.method) == (
        by_claim,
        "claim",
    )


def test_the_window_of_the_link_goes_before_that_of_partner_and_app() -> None:
    settings = SettingsByScope(
        app=Settings(click_window=2 * DAY),
        partners={1: Settings(click_window=5 * DAY)},
        links={9: Settings(click_window=MINUTE)},
    )

    verdict = attribute(
        install(GAID),
        [
            touch(1, GAID, before=3 * DAY),
            touch(2, GAID, before=3 * DAY),
            touch(3, GAID, before=2 * MINUTE, link_id=9),
        ],
        settings,
    )

    assert _reasons(verdict) == {1: "won", 2: "out_of_window", 3: "out_of_window"}


def test_an_address_alone_earns_nothing_unless_guessing_is_switched_on() -> None:
    click = touch(1, ADDRESS)

    switched_off = attribute(install(ADDRESS), [click], EVERYWHERE)
    probabilistic = attribute(install(ADDRESS), [click], PROBABILISTIC)

    assert _reasons(switched_off) == {1: "switched_off"}
    assert (probabilistic.credit.touchpoint, probabilistic.credit.method) == (
        click,
        "probabilistic",
    )


def test_a_guess_that_another_device_has_is_lost_and_a_proof_is_not() -> None:
    probabilistic, proven = touch(1, ADDRESS), touch(2, GAID, before=DAY)

    verdict = attribute(
        install(ADDRESS, GAID), [probabilistic, proven], PROBABILISTIC, {probabilistic.id}
    )
    certain = attribute(install(ADDRESS, GAID), [proven], PROBABILISTIC, {proven.id})

    assert _reasons(verdict) == {1: "taken", 2: "won"}
    assert _reasons(certain) == {2: "won"}


def test_nobody_guesses_between_two_devices_behind_one_address() -> None:
    first = touch(1, ADDRESS, device_model="Pixel 8")
    other = touch(2, ADDRESS, device_model="Pixel 9")

    verdict = attribute(install(ADDRESS), [first, other], PROBABILISTIC)
    known_model = attribute(install(ADDRESS, device_model="pixel 9"), [first, other], PROBABILISTIC)

    assert _reasons(verdict) == {1: "not_alone", 2: "not_alone"}
    assert _reasons(known_model) == {1: "other_device", 2: "won"}


def test_a_click_during_the_download_is_rejected_and_the_one_before_it_wins() -> None:
    honest = touch(1, GAID, before=DAY)
    injected = touch(2, GAID, before=timedelta(seconds=20))
    evidence = install(GAID, install_begin_at=INSTALLED - MINUTE, has_server_begin_time=True)

    verdict = attribute(evidence, [injected, honest], EVERYWHERE)

    assert verdict.credit.touchpoint == honest
    assert _reasons(verdict) == {1: "won", 2: "rejected:engagement_injection"}
    assert [candidate.touchpoint for candidate in verdict.rejections] == [injected]
    assert verdict.rejections[0].reason == "engagement_injection"


@pytest.mark.parametrize(
    ("seconds", "reason", "remarks"),
    [
        (1, "rejected:engagement_injection", ()),
        (2, "won", ("short_time_to_install",)),
        (10, "won", ()),
    ],
)
def test_a_click_too_close_to_the_first_open_is_odd_or_fraud(
    seconds: int, reason: str, remarks: tuple[str, ...]
) -> None:
    click = touch(1, GAID, before=timedelta(seconds=seconds))

    verdict = attribute(install(GAID), [click], EVERYWHERE)

    assert (_reasons(verdict), verdict.remarks) == ({1: reason}, remarks)


def test_a_partner_that_reports_too_many_clicks_of_a_device_loses_all_of_them() -> None:
    flood = [touch(n, GAID, before=n * MINUTE, partner_id=7) for n in range(1, 12)]
    honest = touch(20, GAID, before=DAY)

    verdict = attribute(install(GAID), [*flood, honest], EVERYWHERE)
    ten_are_not_too_many = attribute(install(GAID), [*flood[1:], honest], EVERYWHERE)

    assert verdict.credit.touchpoint == honest
    assert {candidate.reason for candidate in verdict.rejections} == {"too_many_engagements"}
    assert [
        candidate.touchpoint for candidate in verdict.rejections
    ] == flood  # the first that would have won first
    assert ten_are_not_too_many.credit.touchpoint == flood[1]


def test_a_refused_click_is_a_rejection_only_where_it_would_have_won() -> None:
    refused = touch(1, GAID, before=DAY, refused="incorrect_signature")
    later = touch(2, GAID, before=MINUTE)

    beaten = attribute(install(GAID), [refused, later], EVERYWHERE)
    alone = attribute(install(GAID), [refused], EVERYWHERE)

    assert (_reasons(beaten)[1], beaten.rejections) == ("rejected:incorrect_signature", ())
    assert (alone.credit.type, len(alone.rejections)) == ("organic", 1)


def test_who_opens_the_app_from_an_anonymous_address_earns_nobody_anything() -> None:
    click = touch(1, GAID)

    verdict = attribute(install(GAID, is_anonymous=True), [click], EVERYWHERE)

    assert verdict.credit.type == "organic"
    assert [candidate.reason for candidate in verdict.rejections] == ["anonymous_traffic"]


def test_a_device_that_comes_back_needs_a_proof_within_the_reengagement_window() -> None:
    proven = touch(1, GAID, before=timedelta(seconds=1))
    probabilistic = touch(2, ADDRESS)
    old = touch(3, GAID, before=8 * DAY)
    evidence = install(GAID, ADDRESS, is_return=True)
    settings = SettingsByScope(Settings(probabilistic_clicks=True, click_window=30 * DAY))

    verdict = attribute(evidence, [old, probabilistic, proven], settings)

    assert _reasons(verdict) == {1: "won", 2: "only_proven", 3: "out_of_window"}


def test_a_claim_without_a_time_counts_as_just_before_the_install() -> None:
    claim = touch(
        1,
        "install_id:a",
        source="claim",
        occurred_at=INSTALLED + DAY,
        params={"time_is_unknown": True, "claimed_by": "adservices"},
    )
    click = touch(2, GAID, before=MINUTE)

    verdict = attribute(install(GAID, "install_id:a"), [claim, click], EVERYWHERE)

    assert _reasons(verdict) == {1: "won", 2: "older"}
    assert verdict.credit.touchpoint is not None
    assert verdict.credit.touchpoint.occurred_at < INSTALLED
    assert verdict.credit.window == 30 * DAY


def test_every_reason_has_a_sentence() -> None:
    codes = [*reasons.REASONS, *(f"rejected:{fraud}" for fraud in reasons.FRAUD)]

    sentences = {reasons.of_reason(code) for code in codes}

    assert len(sentences) == len(codes)
    assert all(sentence.endswith(".") for sentence in sentences)


def _reasons(verdict: WaterfallVerdict) -> dict[int, str]:
    return {
        UUID(str(candidate.touchpoint.id)).int: candidate.reason for candidate in verdict.candidates
    }
