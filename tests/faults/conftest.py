"""Folders and processes for tests that kill."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postbacks.infrastructure.database.embedded import EmbeddedServer
from tests.faults.demo_process import ROOT, DemoRuns


@pytest.fixture
def data_folder() -> Iterator[Path]:
    with _data_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def demos(migrated_folder: Path) -> Iterator[DemoRuns]:
    """The demo on one data folder for all tests of a module: starting it takes half a minute."""
    with _data_folder() as folder:
        copy_database(migrated_folder, folder)
        runs = DemoRuns(folder)
        yield runs
        runs.kill_everything()


@pytest.fixture(scope="session")
def migrated_folder() -> Iterator[Path]:
    """Make a data folder with an empty, migrated database, which is copied many times sooner."""
    with _data_folder() as folder:
        server = EmbeddedServer(folder)
        server.start()
        environment = {n: v for n, v in os.environ.items() if n != "DATABASE_URL"}
        try:
            subprocess.run(
                [sys.executable, "manage.py", "migrate", "--verbosity=0"],
                cwd=ROOT,
                env={**environment, "DATA_DIR": str(folder)},
                check=True,
            )
        finally:
            server.stop()
        yield folder


def copy_database(migrated: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)  # a server that makes its folder itself would see to that
    subprocess.run(["cp", "-a", str(migrated / "postgres"), str(folder)], check=True)


@contextmanager
def _data_folder() -> Iterator[Path]:
    """Make a folder that PostgreSQL's own user may reach, which pytest's are not for root."""
    folder = Path(tempfile.mkdtemp(prefix="postbacks-test-"))
    yield folder / "data"
    shutil.rmtree(folder, ignore_errors=True)
