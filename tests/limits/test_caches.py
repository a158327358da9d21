"""Django's cache as sign-in uses it: one caller gets a lock, and failures are all counted."""

import threading
import time
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import pytest
from allauth.core.internal.ratelimit import Rate, apply_rate, cache_lock
from django.conf import settings
from django.core.cache import cache
from django.core.cache.backends.base import BaseCache
from django.db import connection
from django.utils import timezone

from postbacks.infrastructure.caches import (
    JsonSerializer,
    PatientRedisCache,
    PostgresCache,
    delete_expired_entries,
)
from postbacks.models import CacheEntry
from tests.redis_server import RedisServer, needs_redis

pytestmark = pytest.mark.django_db(transaction=True)


def redis_cache(url: str) -> PatientRedisCache:
    return PatientRedisCache(
        url, {"OPTIONS": {"serializer": JsonSerializer, **settings.REDIS_TIMEOUTS}}
    )


@pytest.fixture(params=["postgres", pytest.param("redis", marks=needs_redis)])
def a_cache(request: pytest.FixtureRequest) -> BaseCache:
    if request.param == "postgres":
        return PostgresCache("", {})
    return redis_cache(request.getfixturevalue("redis_server").url)


def at_once(work: Callable[[], object], *, times: int) -> list[object]:
    """Do something in several threads at one moment; return what came out."""
    results: list[object] = []
    together = threading.Barrier(times)

    def run() -> None:
        together.wait()
        results.append(work())
        connection.close()

    threads = [threading.Thread(target=run) for _ in range(times)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("value", [True, 0, 7, "text", [1.5, 2.5], {"a": None}, None])
def test_a_value_comes_back_as_it_was(a_cache: BaseCache, value: object) -> None:
    a_cache.set("key", value, 60)

    assert a_cache.get("key", "nothing") == value


def test_a_value_ends(a_cache: BaseCache) -> None:
    a_cache.set("short", 1, 1)
    a_cache.set("over", 1, 0)
    a_cache.set("endless", 1, None)

    time.sleep(1.1)

    assert a_cache.get_many(["short", "over", "endless"]) == {"endless": 1}


def test_a_value_is_touched_and_removed(a_cache: BaseCache) -> None:
    a_cache.set("key", 1, 1)

    touched, absent = a_cache.touch("key", 60), a_cache.touch("other", 60)
    time.sleep(1.1)
    value = a_cache.get("key")
    removed, again = a_cache.delete("key"), a_cache.delete("key")

    assert (touched, absent, value, removed, again) == (True, False, 1, True, False)


def test_a_cache_is_cleared(a_cache: BaseCache) -> None:
    a_cache.set("key", 1)

    a_cache.clear()

    assert "key" not in a_cache


@pytest.mark.parametrize("was_there", [False, True])
def test_one_of_several_callers_gets_a_key(a_cache: BaseCache, was_there: bool) -> None:
    key = str(uuid4())
    if was_there:
        a_cache.set(key, "expired", 0)

    got = at_once(lambda: a_cache.add(key, "mine", 10), times=8)

    assert sorted(map(bool, got)) == [False] * 7 + [True]


def test_failed_sign_ins_of_one_moment_are_all_counted() -> None:
    key, rate = f"rl:{uuid4()}", Rate(5, 60, "key")

    def fail() -> bool:
        """Do what django-allauth does for one failed sign-in."""
        with cache_lock(key) as locked:
            assert locked
            allowed, history = apply_rate(cache.get(key, []), time.time(), rate)
            if allowed:
                cache.set(key, history, rate.duration)
            return allowed

    allowed = at_once(fail, times=12)

    assert isinstance(cache._connections[cache._alias], PostgresCache)  # type: ignore[attr-defined]
    assert sum(map(bool, allowed)) == 5


def test_entries_that_have_ended_are_forgotten() -> None:
    now = timezone.now()
    CacheEntry.objects.create(key="old", value="1", ends_at=now - timedelta(seconds=1))
    CacheEntry.objects.create(key="new", value="1", ends_at=now + timedelta(seconds=9))

    forgotten = delete_expired_entries()

    assert forgotten == 1
    assert [entry.key for entry in CacheEntry.objects.all()] == ["new"]


@needs_redis
def test_a_redis_that_is_away_keeps_nobody_from_signing_in(redis_server: RedisServer) -> None:
    away = redis_cache(redis_server.url)
    redis_server.kill()

    added = away.add("key:lock", True, 10)
    away.set("key", [1.0], 60)

    assert added
    assert away.get("key", []) == []
    assert not away.delete("key:lock")
