"""The web server and a tenant, where a test needs them."""

from collections.abc import Iterator

import pytest

from tests import make
from tests.web.gunicorn_server import serve


@pytest.fixture(scope="module")
def port(django_db_setup: None) -> Iterator[int]:
    """Return the port of gunicorn, which has two threads."""
    yield from serve()


@pytest.fixture
def tenant() -> make.Tenant:
    return make.make_tenant()
