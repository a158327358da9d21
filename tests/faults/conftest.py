"""Folders and processes for tests that kill."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from postbacks.demo.child_processes import free_port
from tests.faults.demo_process import DemoProcess


@pytest.fixture
def data_folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user may reach, which pytest's are not for root."""
    folder = Path(tempfile.mkdtemp(prefix="postbacks-test-"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def start_demo(data_folder: Path) -> Iterator[Callable[..., DemoProcess]]:
    """Return a function that starts the demo, each time on the same data."""
    port = free_port()
    started: list[DemoProcess] = []

    def start(*arguments: str) -> DemoProcess:
        started.append(DemoProcess(data_folder, *arguments, port=port))
        return started[-1]

    yield start
    for demo in started:
        if demo.process.poll() is None:
            demo.kill_everything()
