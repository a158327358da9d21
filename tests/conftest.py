"""What every test may use. Rows come from tests/make.py."""

import pytest
from django.conf import settings
from django.test import TransactionTestCase
from pytest_django import DjangoDbBlocker

from tests import database, redis_server


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> None:
    """Make the test database once."""
    with django_db_blocker.unblock():
        database.create()
    # Django would empty tables as the role web, which may not.
    TransactionTestCase._fixture_teardown = lambda _self: database.empty()  # type: ignore[method-assign]


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> None:
    """Hash the tests' passwords quickly; the slowness of real ones is the point of them."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


# What takes minutes is begun first: at the end one process would still be at it, alone.
_SLOW = ("isolation/test_isolation_sweep.py", "faults/", "browser/", "api/test_api_attacked.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order what several processes share out among themselves."""
    items.sort(key=lambda item: not any(name in str(item.path) for name in _SLOW))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and what would help."""
    if redis_server.MISSING:
        count = len(terminalreporter.stats.get("skipped", []))
        words = f"Tests that need Redis were left out ({count} in all): {redis_server.MISSING}"
        terminalreporter.write_line(words, yellow=True)
