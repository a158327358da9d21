"""The limiter of this process, and the counts that processes share: in Redis or PostgreSQL."""

import functools
import hashlib

import redis
from django.conf import settings
from django.db import Error as DatabaseError

from postbacks.infrastructure.database import prepared
from postbacks.infrastructure.rate_limits.counting import (
    Limiter,
    RateLimit,
    RateVerdict,
    StoreAwayError,
)

_ADD = """
WITH counted AS (
    INSERT INTO rate_count AS stored (name, count, ends_at)
    VALUES (%(name)s, %(count)s, to_timestamp(%(ends_at)s))
    ON CONFLICT (name) DO UPDATE SET count = stored.count + excluded.count
    RETURNING count
)
SELECT (SELECT count FROM counted),
       coalesce((SELECT count FROM rate_count WHERE name = %(before)s), 0)
"""

_DELETE_ENDED = """
DELETE FROM rate_count WHERE name IN (
    SELECT name FROM rate_count WHERE ends_at < now() LIMIT %(limit)s
) RETURNING 1
"""


class PostgresStore:
    """Counts in an unlogged table: a crash of the server loses a few seconds' calls."""

    def add(self, key: str, *, window: int, seconds: int, count: int) -> tuple[int, int]:
        parameters = {
            "name": _name(key, window, seconds),
            "before": _name(key, window - 1, seconds),
            "count": count,
            "ends_at": (window + 2) * seconds,
        }
        try:
            ((shared, before),) = prepared.run(_ADD, parameters)
        except DatabaseError as error:
            raise StoreAwayError(type(error).__name__) from error
        return shared, before


class RedisStore:
    """Counts in Redis, in keys that expire."""

    def __init__(self, url: str) -> None:
        self._redis = redis.Redis.from_url(url, **settings.REDIS_TIMEOUTS)

    def add(self, key: str, *, window: int, seconds: int, count: int) -> tuple[int, int]:
        name = f"postbacks:rate:{_name(key, window, seconds)}"
        before = f"postbacks:rate:{_name(key, window - 1, seconds)}"
        try:
            pipeline = self._redis.pipeline(transaction=False)
            pipeline.incrby(name, count)
            pipeline.expire(name, 2 * seconds)
            pipeline.get(before)
            shared, _, counted_before = pipeline.execute()
        except redis.RedisError as error:
            raise StoreAwayError(type(error).__name__) from error
        return int(shared), int(counted_before or 0)


def delete_expired_counts(limit: int = 5_000) -> int:
    """Delete a batch of counts whose windows are over; return how many."""
    return len(prepared.run(_DELETE_ENDED, {"limit": limit}))


def _name(key: str, window: int, seconds: int) -> str:
    """Return a count's name. Keys contain addresses of people, so only a hash is stored."""
    hashed = hashlib.blake2b(f"{key}|{seconds}".encode(), digest_size=16).hexdigest()
    return f"{hashed}:{window}"


def limit(key: str, rate: RateLimit | None, *, count: int = 1) -> RateVerdict:
    """Count a call and say whether it may pass. A tenant's key must name the tenant."""
    return _limiter().limit(key, rate, count=count)


def add(key: str, rate: RateLimit | None, *, count: int) -> None:
    _limiter().add(key, rate, count=count)


@functools.cache
def _limiter() -> Limiter:
    url: str = settings.REDIS_URL
    store = RedisStore(url) if url else PostgresStore()
    return Limiter(store, processes=settings.WEB_CONCURRENCY)
