"""A Redis for the tests that need one."""

from collections.abc import Iterator

import pytest

from tests.redis_server import RedisServer, running


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """Run a Redis of the test's own."""
    with running() as server:
        yield server
