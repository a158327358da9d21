"""The shared stores, both real: what one process counts another one sees."""

import threading
from datetime import timedelta
from uuid import uuid4

import pytest
from django.db import connection
from django.utils import timezone

from postbacks.infrastructure.rate_limits.counting import Limiter, RateLimit, Store, StoreAwayError
from postbacks.infrastructure.rate_limits.limiter import (
    PostgresStore,
    RedisStore,
    delete_expired_counts,
)
from postbacks.models import RateCount
from tests.redis_server import RedisServer, needs_redis

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["postgres", pytest.param("redis", marks=needs_redis)])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "postgres":
        return PostgresStore()
    return RedisStore(request.getfixturevalue("redis_server").url)


def test_a_store_counts_and_knows_the_window_before(store: Store) -> None:
    key = str(uuid4())

    store.add(key, window=7, seconds=10, count=3)
    first = store.add(key, window=7, seconds=10, count=2)
    second = store.add(key, window=8, seconds=10, count=1)

    assert (first, second) == ((5, 0), (1, 5))


def test_calls_of_one_moment_are_all_counted(store: Store) -> None:
    key = str(uuid4())

    def count() -> None:
        for _ in range(50):
            store.add(key, window=1, seconds=10, count=1)
        connection.close()

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert store.add(key, window=1, seconds=10, count=1) == (201, 0)


def test_two_limiters_on_one_store_hold_a_limit_together(store: Store) -> None:
    key, rate = str(uuid4()), RateLimit(10, 1)
    limiters = [Limiter(store), Limiter(store)]

    passed = sum(limiter.limit(key, rate).allowed for _ in range(200) for limiter in limiters)

    assert rate.most <= passed <= rate.most + 4 * rate.amount  # two, and a second's refill


def test_what_is_stored_names_nobody() -> None:
    PostgresStore().add("unknown:203.0.113.7", window=1, seconds=10, count=1)

    assert "203.0.113.7" not in RateCount.objects.get().name


def test_counts_that_are_over_are_forgotten() -> None:
    now = timezone.now()
    RateCount.objects.create(name="old", count=1, ends_at=now - timedelta(seconds=1))
    RateCount.objects.create(name="new", count=1, ends_at=now + timedelta(seconds=9))

    forgotten = delete_expired_counts()

    assert forgotten == 1
    assert [count.name for count in RateCount.objects.all()] == ["new"]


def test_postgresql_that_is_away_is_said_to_be_so() -> None:
    host = connection.settings_dict["HOST"]
    connection.close()
    connection.settings_dict["HOST"] = "/nowhere"
    try:
        with pytest.raises(StoreAwayError):
            PostgresStore().add("key", window=1, seconds=10, count=1)
    finally:
        connection.settings_dict["HOST"] = host
        connection.close()


@needs_redis
def test_redis_that_was_killed_refuses_nobody_and_counts_again_when_it_is_back(
    redis_server: RedisServer,
) -> None:
    store, rate = RedisStore(redis_server.url), RateLimit(10, 1)
    limiter = Limiter(store)
    limiter.limit("key", rate)

    redis_server.kill()
    with pytest.raises(StoreAwayError):
        store.add("key", window=1, seconds=10, count=1)
    passed = sum(limiter.limit("other key", rate).allowed for _ in range(50))
    redis_server.start()

    assert passed == 50
    assert store.add("key", window=1, seconds=10, count=1) == (1, 0)
