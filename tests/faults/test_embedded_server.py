"""The PostgreSQL that comes with us: after a crash, with a stale pid file, in a deep folder."""

import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer, EmbeddedServerError
from tests.faults.demo_process import ROOT


@pytest.fixture
def server(data_folder: Path) -> Iterator[EmbeddedServer]:
    server = EmbeddedServer(data_folder)
    server.start()
    yield server
    server.stop()


def count_rows(server: EmbeddedServer) -> int:
    with psycopg.connect(server.admin_conninfo(DATABASE)) as connection:
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    return int(row[0]) if row else -1


def keep_a_row(server: EmbeddedServer) -> None:
    with psycopg.connect(server.admin_conninfo(DATABASE)) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")


def kill(server: EmbeddedServer) -> None:
    """SIGKILL to the server and all its children, and forget it as a dead owner would."""
    assert server.pid is not None
    parent = psutil.Process(server.pid)
    family = [parent, *parent.children(recursive=True)]
    for process in family:
        process.kill()
    assert server._process is not None
    server._process.wait()
    psutil.wait_procs(family, timeout=10)
    server._process = None
    server.stop()


def test_committed_rows_are_there_after_a_crash(server: EmbeddedServer) -> None:
    keep_a_row(server)

    kill(server)
    server.start()

    assert count_rows(server) == 1


def test_it_starts_although_the_old_process_id_belongs_to_somebody_else(
    server: EmbeddedServer,
) -> None:
    keep_a_row(server)
    kill(server)
    pid_file = server.cluster / "postmaster.pid"
    lines = pid_file.read_text().split("\n")
    pid_file.write_text("\n".join([str(os.getppid()), *lines[1:]]))

    server.start()

    assert count_rows(server) == 1


def test_a_server_whose_owner_was_killed_is_ended_and_replaced(data_folder: Path) -> None:
    owner = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import pathlib, signal, sys;"
            " from postbacks.infrastructure.database.embedded import EmbeddedServer;"
            " server = EmbeddedServer(pathlib.Path(sys.argv[1])); server.start();"
            " print(server.pid, flush=True); signal.pause()",
            str(data_folder),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert owner.stdout is not None
    first_pid = int(owner.stdout.readline())
    owner.kill()
    owner.wait()
    owner.stdout.close()

    server = EmbeddedServer(data_folder)
    server.start()

    assert server.pid != first_pid
    assert not psutil.pid_exists(first_pid)
    server.stop()


def test_a_folder_has_one_owner(server: EmbeddedServer) -> None:
    with pytest.raises(EmbeddedServerError, match="Another run already uses the data folder"):
        EmbeddedServer(server.data_dir).start()


def test_a_deep_folder_gets_its_socket_elsewhere(data_folder: Path) -> None:
    server = EmbeddedServer(data_folder / ("deep-" * 20) / "folder")

    server.start()

    try:
        keep_a_row(server)
        assert count_rows(server) == 1
        assert server.cluster not in server.socket_folder.parents
    finally:
        server.stop()


def test_a_deep_temporary_folder_is_not_used_either(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    deep = data_folder / ("deep-" * 20)
    monkeypatch.setattr(tempfile, "tempdir", str(deep))

    folder = EmbeddedServer(deep).socket_folder

    assert len(str(folder)) < 80
    assert deep not in folder.parents


def test_only_the_login_without_rights_is_given_to_the_application(
    server: EmbeddedServer,
) -> None:
    with psycopg.connect(server.url) as connection, pytest.raises(psycopg.errors.Error) as error:
        connection.execute("CREATE TABLE mine (id int)")

    assert isinstance(error.value, psycopg.errors.InsufficientPrivilege)


def test_it_works_for_an_ordinary_user(data_folder: Path) -> None:
    data_folder.mkdir()
    data_folder.parent.chmod(0o755)
    if os.geteuid() == 0:
        os.chown(data_folder, 65534, 65534)

    assert run_as_ordinary_user(lambda: start_and_stop(data_folder)) == 0


def start_and_stop(folder: Path) -> None:
    server = EmbeddedServer(folder)
    server.start()
    server.stop()


def run_as_ordinary_user(work: Callable[[], None]) -> int:
    """Do some work in a child that is not root, and return its exit code."""
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            work()
        except BaseException:  # noqa: BLE001  # the child must never return into pytest
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)
