"""Django's cache is everybody's: what is kept there must say whose it is."""

from typing import Any

import pytest
from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.test import Client
from pytest_django import Settings

from postbacks.infrastructure.caches import PostgresCache
from tests.accounts.people import sign_in_by_form
from tests.browser.admin_pages import address, admin_routes
from tests.isolation.account_calls import account_calls
from tests.isolation.routes import swept_routes
from tests.isolation.story import Story, live_through

pytestmark = pytest.mark.django_db(transaction=True)

# How often somebody tried to sign in or to mail a link: by address, of people as of machines.
OF_NOBODY = "allauth:rl:"

_keys: list[str] = []


class RecordingCache(PostgresCache):
    """The cache as it is, noting the keys that were put into it."""

    def add(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> bool:
        _keys.append(str(key))
        return super().add(key, value, timeout, version)

    def set(
        self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: Any = None
    ) -> None:
        _keys.append(str(key))
        super().set(key, value, timeout, version)


@pytest.fixture
def cache_keys(settings: Settings) -> list[str]:
    """Return the keys of everything that was put into the cache."""
    backend = f"{__name__}.{RecordingCache.__name__}"
    settings.CACHES = {**settings.CACHES, "default": {"BACKEND": backend}}
    _keys.clear()
    return _keys


def test_the_cache_holds_nothing_of_an_organization(cache_keys: list[str]) -> None:
    _look_at_everything(live_through("Gem Harbor"))

    assert cache_keys, "signing in is counted here"
    assert {key for key in cache_keys if not key.startswith(OF_NOBODY)} == set()


def _look_at_everything(story: Story) -> None:
    """Sign in, and open each page and each list of one's own."""
    browser = Client(raise_request_exception=False)
    program = Client(headers={"Authorization": f"Bearer {story.tenant.api_token}"})
    sign_in_by_form(story.tenant.owner, browser, "a wrong password")
    browser.force_login(story.tenant.owner)
    pages = [address(route, story) for route in admin_routes()]
    pages += [
        call.path
        for route in swept_routes()
        if route.template.startswith("/accounts/")
        for call in account_calls(route, story)
        if call.method == "GET"
    ]
    lists = [route.template for route in swept_routes() if not route.parameters]
    statuses = {browser.get(path).status_code for path in pages if "logout" not in path}
    statuses |= {program.get(path).status_code for path in lists if path.startswith("/api/")}
    assert 200 in statuses
    assert max(statuses) < 500
