"""A pytest plugin that gives the tests a PostgreSQL of their own, unless DATABASE_URL names one.

It is loaded before pytest-django reads the settings (see `addopts` in pyproject.toml).
"""

import gc
import os
import sys
from pathlib import Path

import pytest

gc.set_threshold(50_000, 20, 20)  # a fifth of the tests' time went into looking for garbage
_ROOT = Path(__file__).resolve().parent.parent
# Tests start a hundred processes, each of which would compile every module of ours again.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
os.environ["DATA_DIR"] = os.environ.get("TEST_DATA_DIR", str(_ROOT / ".local" / "test"))
os.environ["REDIS_URL"] = ""  # tests start their own; unset, `.env` would speak
os.environ["RATE_LIMIT_API"] = os.environ["RATE_LIMIT_UNKNOWN"] = "off"  # the sweep is in a hurry
os.environ["ALLOW_PRIVATE_DESTINATIONS"] = "127.0.0.0/8"  # the partners of the tests

from postbacks.infrastructure.database.embedded import EmbeddedServer  # noqa: E402  # reads nothing, but belongs below

_server: EmbeddedServer | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Start the server, which all processes of a run share."""
    global _server
    if not os.environ.get("DATABASE_URL") and not os.environ.get("PYTEST_XDIST_WORKER"):
        _server = EmbeddedServer(Path(os.environ["DATA_DIR"]), durable=False)
        _server.start()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the server."""
    if _server:
        _server.stop()
