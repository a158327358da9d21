"""Folders and processes for tests that kill."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer
from tests import database
from tests.faults.demo_process import DemoRuns


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
def migrated_folder(django_db_setup: None) -> Iterator[Path]:
    """Make a data folder with an empty, migrated database, which is copied many times sooner.

    The database is the tests' own, dumped and restored: to migrate another takes far longer.
    """
    with _data_folder() as folder:
        server = EmbeddedServer(folder)
        server.start()
        try:
            dumped = server._execute("pg_dump", f"--dbname={database.superuser_conninfo()}")
            assert dumped.returncode == 0, dumped.stderr
            statements = folder / "migrated.sql"
            statements.write_text(dumped.stdout)
            conninfo = server.admin_conninfo(DATABASE)
            restored = server._execute(
                *("psql", f"--dbname={conninfo}", f"--file={statements}"),
                *("--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"),
            )
            assert restored.returncode == 0, restored.stderr
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
