"""Counting in memory and together. The clock and the store are the tests' own, both plain."""

from collections import Counter
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.infrastructure.rate_limits import counting
from postbacks.infrastructure.rate_limits.counting import Limiter, RateLimit, StoreAwayError

RATE = RateLimit(10, 1)  # 100 in ten seconds


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Memory:
    """A store that several limiters share, and that can be away."""

    is_away: bool = False
    asked: int = 0
    counts: Counter[tuple[str, int]] = field(default_factory=Counter)

    def add(self, key: str, *, window: int, seconds: int, count: int) -> tuple[int, int]:
        self.asked += 1
        if self.is_away:
            raise StoreAwayError("away")
        self.counts[(key, window)] += count
        return self.counts[(key, window)], self.counts[(key, window - 1)]


def passed(limiter: Limiter, calls: int, *, key: str = "key", rate: RateLimit = RATE) -> int:
    return sum(limiter.limit(key, rate).allowed for _ in range(calls))


def test_as_many_calls_pass_as_the_rate_says() -> None:
    limiter = Limiter(Memory(), Clock())

    assert passed(limiter, 150) == 100


def test_a_refusal_says_when_the_next_call_passes_and_that_is_true() -> None:
    clock = Clock()
    limiter = Limiter(Memory(), clock)
    passed(limiter, 100)

    refused = limiter.limit("key", RATE)
    clock.now += refused.retry_after
    later = limiter.limit("key", RATE)

    assert (refused.allowed, later.allowed) == (False, True)
    assert 10 <= refused.retry_after <= 11


def test_what_is_refused_is_not_counted() -> None:
    clock = Clock()
    limiter = Limiter(Memory(), clock)
    passed(limiter, 10_000)

    clock.now += 20

    assert passed(limiter, 150) == 100


def test_keys_are_counted_apart() -> None:
    limiter = Limiter(Memory(), Clock())

    assert passed(limiter, 150, key="one") == passed(limiter, 150, key="another") == 100


def test_no_rate_is_no_limit() -> None:
    store = Memory()

    assert all(Limiter(store, Clock()).limit("key", None).allowed for _ in range(1_000))
    assert store.asked == 0


def test_the_store_is_asked_once_a_second_or_when_a_share_is_used_up() -> None:
    store, clock = Memory(), Clock()
    limiter = Limiter(store, clock)

    passed(limiter, 4)
    few = store.asked
    passed(limiter, 1)
    share = store.asked
    clock.now += 1
    passed(limiter, 2)
    second = store.asked
    passed(limiter, 50)

    assert (few, share, second) == (0, 1, 2)
    assert store.asked - second <= 50 / (RATE.most / counting.SHARES)


@pytest.mark.parametrize("processes", [1, 2, 4, 10])
def test_processes_that_share_nothing_let_through_a_twentieth_more_at_most(processes: int) -> None:
    store, clock, rate = Memory(), Clock(), RateLimit(1_000, 10)
    limiters = [Limiter(store, clock, processes) for _ in range(processes)]

    let_through = sum(
        limiter.limit("key", rate).allowed for _ in range(1_100) for limiter in limiters
    )

    assert rate.most <= let_through <= rate.most * 21 / 20


def test_two_processes_hold_a_limit_together_to_within_a_seconds_traffic() -> None:
    store, clock = Memory(), Clock()
    processes = [Limiter(store, clock), Limiter(store, clock)]

    let_through = sum(
        process.limit("key", RATE).allowed for _ in range(200) for process in processes
    )

    assert 100 <= let_through <= 100 + 2 * RATE.amount


def test_an_absent_store_refuses_nobody_and_is_left_alone_for_a_while() -> None:
    store, clock = Memory(is_away=True), Clock()
    limiter = Limiter(store, clock)

    alone = passed(limiter, 150)
    requests = store.asked
    store.is_away = False
    clock.now += counting.AWAY_SECONDS + 20
    passed(limiter, 1)

    assert (alone, requests) == (100, 1)
    assert store.asked == 2


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "MOST_KEYS", 100)
    limiter = Limiter(Memory(), Clock())

    for number in range(1_000):
        limiter.limit(f"key {number}", RATE)

    assert len(limiter._counts) <= 100


def test_a_call_may_count_for_many_and_the_next_ones_wait_the_longer() -> None:
    limiter = Limiter(Memory(), Clock())

    first = limiter.limit("key", RATE)
    limiter.add("key", RATE, count=999)
    second = limiter.limit("key", RATE)

    assert (first.allowed, second.allowed) == (True, False)
    assert second.retry_after > 10


@given(
    st.lists(st.floats(min_value=0, max_value=5), min_size=1, max_size=300),
    st.integers(min_value=1, max_value=30),
)
def test_no_ten_seconds_hold_much_more_than_the_rate(pauses: list[float], amount: int) -> None:
    clock, rate = Clock(), RateLimit(amount, 10)
    limiter = Limiter(Memory(), clock)
    let_through = []

    for pause in pauses:
        clock.now += pause / 10
        verdict = limiter.limit("key", rate)
        if verdict.allowed:
            let_through.append(clock.now)
        assert verdict.allowed == (verdict.retry_after == 0)

    # A sliding count takes the calls of the window before as spread evenly: twice at the very most.
    for start in let_through:
        assert sum(start <= moment < start + 10 for moment in let_through) <= 2 * amount
