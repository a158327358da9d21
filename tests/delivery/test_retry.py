import pytest

from postbacks.delivery.retry import DEFAULT_DELAYS, LONGEST_HINT, next_delay


@pytest.mark.parametrize("attempts_made", range(1, len(DEFAULT_DELAYS) + 1))
def test_each_wait_stays_within_a_fifth_of_its_schedule(attempts_made: int) -> None:
    scheduled = DEFAULT_DELAYS[attempts_made - 1]

    delays = [
        next_delay(attempts_made=attempts_made, delays=DEFAULT_DELAYS, seed=f"postback-{number}")
        for number in range(200)
    ]

    waits = [delay for delay in delays if delay is not None]
    assert len(waits) == 200
    assert scheduled * 0.8 <= min(waits) < scheduled * 0.85
    assert scheduled * 1.15 < max(waits) <= scheduled * 1.2


def test_the_default_schedule_tries_for_about_three_days() -> None:
    hours = sum(DEFAULT_DELAYS) / 3600

    assert 72 < hours < 74


def test_the_same_postback_and_attempt_wait_equally_long_in_every_process() -> None:
    first = next_delay(attempts_made=3, delays=DEFAULT_DELAYS, seed="0197")

    second = next_delay(attempts_made=3, delays=DEFAULT_DELAYS, seed="0197")

    assert first == second == pytest.approx(109.115, abs=0.001)


def test_attempts_of_one_postback_are_spread_differently() -> None:
    delays = (100, 100, 100, 100)

    waits = {next_delay(attempts_made=made, delays=delays, seed="0197") for made in (1, 2, 3, 4)}

    assert len(waits) == 4


def test_after_the_last_wait_it_is_given_up() -> None:
    assert next_delay(attempts_made=1, delays=(5,), seed="a") is not None
    assert next_delay(attempts_made=2, delays=(5,), seed="a") is None


def test_a_rule_without_waits_tries_once() -> None:
    assert next_delay(attempts_made=1, delays=(), seed="a") is None


def test_a_partner_can_ask_for_a_longer_wait() -> None:
    delay = next_delay(attempts_made=1, delays=DEFAULT_DELAYS, seed="a", retry_after=90.0)

    assert delay == 90.0


def test_a_partner_cannot_ask_for_a_shorter_wait() -> None:
    hinted = next_delay(attempts_made=6, delays=DEFAULT_DELAYS, seed="a", retry_after=1.0)

    assert hinted == next_delay(attempts_made=6, delays=DEFAULT_DELAYS, seed="a")


def test_a_hint_of_days_is_cut_to_six_hours() -> None:
    delay = next_delay(attempts_made=1, delays=DEFAULT_DELAYS, seed="a", retry_after=1e9)

    assert delay == LONGEST_HINT == 6 * 3600


def test_a_hint_does_not_add_tries() -> None:
    assert next_delay(attempts_made=2, delays=(5,), seed="a", retry_after=10.0) is None


def test_a_delay_before_the_first_attempt_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="after an attempt"):
        next_delay(attempts_made=0, delays=DEFAULT_DELAYS, seed="a")
