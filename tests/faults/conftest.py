"""Folders and processes for tests that kill."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.faults.demo_process import DemoRuns


@pytest.fixture
def data_folder() -> Iterator[Path]:
    with _data_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def demos() -> Iterator[DemoRuns]:
    """The demo on one data folder for all tests of a module: starting it takes half a minute."""
    with _data_folder() as folder:
        runs = DemoRuns(folder)
        yield runs
        runs.kill_everything()


@contextmanager
def _data_folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's own user may reach, which pytest's are not for root."""
    folder = Path(tempfile.mkdtemp(prefix="postbacks-test-"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
