"""The limiter of this process, with the store that the settings name."""

import functools

from django.conf import settings

from postbacks.infrastructure.rate_limits.counting import Limiter, RateLimit, RateVerdict
from postbacks.infrastructure.rate_limits.stores import PostgresStore, RedisStore


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
