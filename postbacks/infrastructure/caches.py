"""Django's cache, in which sign-in counts its failures: shared by all processes.

Values are JSON, not pickles: write access to the cache must not mean that code can be run. While
Redis is away the cache is empty, so that people can still sign in.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import redis
from django.core.cache.backends.base import DEFAULT_TIMEOUT, BaseCache
from django.core.cache.backends.redis import RedisCache
from django.db import connection

T = TypeVar("T")

# Each is one statement, so that of several concurrent adds of one key exactly one succeeds.
_ADD = """
INSERT INTO cache_entry AS stored (key, value, ends_at)
VALUES (%(key)s, %(value)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends_at = excluded.ends_at
WHERE stored.ends_at <= now()
"""
_SET = """
INSERT INTO cache_entry (key, value, ends_at)
VALUES (%(key)s, %(value)s, now() + make_interval(secs => %(seconds)s))
ON CONFLICT (key) DO UPDATE SET value = excluded.value, ends_at = excluded.ends_at
"""
_GET = "SELECT value FROM cache_entry WHERE key = %(key)s AND ends_at > now()"
_TOUCH = """
UPDATE cache_entry SET ends_at = now() + make_interval(secs => %(seconds)s)
WHERE key = %(key)s AND ends_at > now()
"""
_DELETE = "DELETE FROM cache_entry WHERE key = %(key)s AND ends_at > now()"
_DELETE_ENDED = """
DELETE FROM cache_entry WHERE key IN (
    SELECT key FROM cache_entry WHERE ends_at < now() LIMIT %(limit)s
)
"""
_FOREVER = 10 * 365 * 86_400.0  # seconds


class JsonSerializer:
    """Stores values as JSON; whole numbers stay numbers, which Redis can increment."""

    def dumps(self, value: object) -> str | int:
        return value if type(value) is int else json.dumps(value)

    def loads(self, stored: bytes) -> Any:
        return json.loads(stored)


class PatientRedisCache(RedisCache):
    """Redis as Django's cache; while it is away, the cache is empty."""

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        """Store a missing value; return True also while nothing can be stored."""
        return _unless_away(
            lambda: super(PatientRedisCache, self).add(key, value, timeout, version), True
        )

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        return _unless_away(
            lambda: super(PatientRedisCache, self).get(key, default, version), default
        )

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        _unless_away(lambda: super(PatientRedisCache, self).set(key, value, timeout, version), None)

    def delete(self, key: Any, version: Any = None) -> bool:
        return _unless_away(lambda: super(PatientRedisCache, self).delete(key, version), False)


class PostgresCache(BaseCache):
    """Django's cache in an unlogged table.

    Django's own reads before it writes, and lets two callers add a key that has just expired. A
    lock built on `add` could be acquired twice.
    """

    def __init__(self, _location: str, params: dict[str, Any]) -> None:
        super().__init__(params)

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        return (
            self._run(_ADD, key, version, value=json.dumps(value), seconds=self._seconds(timeout))
            > 0
        )

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        self._run(_SET, key, version, value=json.dumps(value), seconds=self._seconds(timeout))

    def get(self, key: Any, default: Any = None, version: Any = None) -> Any:
        with connection.cursor() as cursor:
            cursor.execute(_GET, {"key": self.make_and_validate_key(key, version=version)})
            row = cursor.fetchone()
        return json.loads(row[0]) if row else default

    def touch(self, key: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None) -> bool:
        return self._run(_TOUCH, key, version, seconds=self._seconds(timeout)) > 0

    def delete(self, key: Any, version: Any = None) -> bool:
        return self._run(_DELETE, key, version) > 0

    def clear(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM cache_entry")

    def _run(self, statement: str, key: Any, version: Any, **parameters: str | float) -> int:
        name = self.make_and_validate_key(key, version=version)
        with connection.cursor() as cursor:
            cursor.execute(statement, {"key": name, **parameters})
            return int(cursor.rowcount)

    def _seconds(self, timeout: Any) -> float:
        seconds = self.default_timeout if timeout is DEFAULT_TIMEOUT else timeout
        return _FOREVER if seconds is None else float(seconds)


def delete_expired_entries(limit: int = 5_000) -> int:
    """Delete a batch of entries that have ended; return how many."""
    with connection.cursor() as cursor:
        cursor.execute(_DELETE_ENDED, {"limit": limit})
        return int(cursor.rowcount)


def _unless_away(operation: Callable[[], T], fallback: T) -> T:
    try:
        return operation()
    except redis.RedisError:
        return fallback
