"""What every test may use. Rows come from tests/make.py."""

import gc
import os
import socketserver
from collections import Counter
from collections.abc import Generator, Iterator

import pytest
from django.conf import settings
from django.template import RequestContext
from django.test import TransactionTestCase, client
from pytest_django import DjangoDbBlocker
from whitenoise.middleware import WhiteNoiseMiddleware

from postbacks.infrastructure.rate_limits.at_once import long_requests
from postbacks.intake import refused_events
from tests import database, redis_server
from tests.workers import sending_tests


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """Make the test database once."""
    with django_db_blocker.unblock():
        database.create()
    # Django would empty tables as the role web, which may not.
    TransactionTestCase._fixture_teardown = lambda _self: database.empty()  # type: ignore[method-assign]
    TransactionTestCase._should_reload_connections = lambda _self: database.must_reconnect()
    yield
    database.superuser().close()


@pytest.fixture(scope="session", autouse=True)
def _refusals_are_flushed_by_hand() -> None:
    """Start no thread that would write into a test's database; tests flush."""
    refused_events.log.has_writer = False


@pytest.fixture(scope="session", autouse=True)
def _static_files_listed_once() -> Iterator[None]:
    """List the static files for the first of a thousand test clients, and not for each again."""
    listed: dict[str, object] = {}
    list_files = WhiteNoiseMiddleware.add_files_from_finders

    def list_once(middleware: WhiteNoiseMiddleware) -> None:
        if not listed:
            list_files(middleware)
            listed.update(middleware.files)
        middleware.files.update(listed)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoiseMiddleware, "add_files_from_finders", list_once)
        yield


@pytest.fixture(scope="session", autouse=True)
def _contexts_of_pages() -> Iterator[None]:
    """Keep for a test what a page's template was given, and not again for each part and widget."""
    store_all = client.store_rendered_templates

    def store_first(store: dict[str, object], *arguments: object, **rendered: object) -> None:
        if "context" not in store and isinstance(rendered["context"], RequestContext):
            store_all(store, *arguments, **rendered)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client, "store_rendered_templates", store_first)
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_passwords() -> None:
    """Hash the tests' passwords quickly; the slowness of real ones is the point of them."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True)
def _files_that_nobody_reads_hold_no_place() -> None:
    """Begin each test with no long request under way: a test's client closes only what it reads."""
    long_requests.cache_clear()


@pytest.fixture
def test_worker() -> Iterator[None]:
    """Let a worker send what is tested."""
    with sending_tests():
        yield


@pytest.fixture(scope="session", autouse=True)
def _servers_that_stop_at_once() -> Iterator[None]:
    """Let servers look every 20 ms, not every half second, whether their test is over."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socketserver.BaseServer.serve_forever, "__defaults__", (0.02,))
        yield


# The tests that take minutes start first. Started last, one of them would keep one process busy
# while the others have nothing left to do.
_FAULTS = "tests/faults/"
_SWEEP = "tests/isolation/test_isolation_sweep.py"
_ON_DEMO = tuple(
    f"tests/browser/test_browser_{name}.py"
    for name in ("correcting", "first_rule", "journey", "keyboard", "without_scripts")
)
_LONG = (
    _FAULTS,
    _SWEEP,
    "tests/browser/",
    "tests/api/test_api_attacked.py",
    "tests/privacy/test_erasing.py",
    "tests/web/test_web_deployment.py",
    "tests/admin/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long tests first, and choose the tests whose coverage is measured."""
    items.sort(key=lambda item: _rank(item.nodeid))
    cases: Counter[str] = Counter()
    for item in items:
        function = item.nodeid.partition("[")[0]
        cases[function] += 1
        item.stash[_measured] = _is_measured(item, cases[function])


def _rank(nodeid: str) -> int:
    return next((n for n, start in enumerate(_LONG) if nodeid.startswith(start)), len(_LONG))


# Measuring coverage makes Django twice as slow under Python 3.11, so tests are measured only where
# they may reach lines that no other test reaches. These repeat what others have run already.
_UNMEASURED = (
    "tests/isolation/",
    "tests/faults/",
    "tests/browser/",
    "tests/api/test_api_attacked.py",
    "tests/api/test_api_isolation.py",
    "tests/admin/test_admin_hostile_names.py",
    "tests/admin/test_admin_matrix.py",
    "tests/admin/test_admin_roles.py",
    "tests/admin/test_admin_operator.py::test_an_operator_without_a_visit",
    "tests/admin/test_admin_export.py::test_fifty_thousand_rows",
    "tests/attribution/test_waterfall_properties.py",
    "tests/pipeline/test_many_workers.py",
    "tests/pipeline/test_secrets_nowhere.py",
)
_measured = pytest.StashKey[bool]()


def _is_measured(item: pytest.Item, case: int) -> bool:
    """Tell whether to measure a test function's case; its first case is number 1.

    The cases of one function run mostly the same lines, so a sample of them is enough: the first,
    then each eighth. Tests without a database are quick and are all measured.
    """
    if item.nodeid.startswith(_UNMEASURED):
        return False
    if item.get_closest_marker("django_db") is None:
        return True
    return case % 8 == 1


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Pause coverage, if it is on, during a test that is not measured."""
    coverage = getattr(item.config.pluginmanager.get_plugin("_cov"), "cov_controller", None)
    if coverage is None or item.stash[_measured]:
        return (yield)
    coverage.pause()
    try:
        return (yield)
    finally:
        coverage.resume()


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start one process more than there are processors: faults are minutes of mere waiting."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object:
    """Give a process a file at a time, for its tests share fixtures.

    One process alone has all the faults, and one all that is played on the demo, which is started
    once for it. The sweep's tests share nothing and take minutes each.
    """
    from xdist.scheduler import LoadFileScheduling  # only where it is used

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            if nodeid.startswith(_FAULTS):
                return _FAULTS
            if nodeid.startswith(_ON_DEMO):
                return "tests/browser/ on the demo"
            return nodeid if nodeid.startswith(_SWEEP) else super()._split_scope(nodeid)

    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    """Have the garbage collector leave alone what stays to the end; looking through it is slow."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say in one line what was left out, and what would help."""
    if redis_server.MISSING:
        count = len(terminalreporter.stats.get("skipped", []))
        words = f"Tests that need Redis were left out ({count} in all): {redis_server.MISSING}"
        terminalreporter.write_line(words, yellow=True)
