"""What is done to an installation: processes are killed, and what they stand on fails for a while.

A kill is SIGKILL. Where the victim is a pump, it is stopped a moment before, so that the postbacks
that it had claimed and the requests that it had begun can be counted.
"""

import os
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import psycopg

from tests.chaos.installation import Installation

MID_BATCH_SECONDS = 3.0  # so long a killer looks for a pump that has begun something
FAULT_SECONDS = 5.0
OUTAGES = ("disk full", "PostgreSQL frozen", "PostgreSQL read-only", "connections exhausted")
_MOST_BEGUN = 16_384


@dataclass(slots=True)
class Wound:
    """One kill or fault, and what it met. Moments are of `time.monotonic()`."""

    kind: str
    pid: int = 0
    began_at: float = 0.0
    ended_at: float = 0.0  # of a fault; of a kill the same
    claimed: int | None = None  # postbacks in the hands of a pump that was killed
    in_flight: int | None = None  # of these its requests on the wire
    pump: str = ""
    claims: uuid.UUID | None = None
    recovered_in: float | None = None  # until what was posted afterwards reached a partner
    returned_in: float | None = None  # until a killed pump's claims were in the queue again
    whole_in: float | None = None  # until everything runs that ran before
    note: str = ""

    @property
    def is_outage(self) -> bool:
        """Tell whether nothing can be delivered until it is over."""
        return self.kind in OUTAGES


@dataclass(slots=True)
class Damage:
    """Does damage to one installation."""

    installation: Installation
    dice: random.Random
    full_disk: "FullDisk"
    fault_seconds: float = FAULT_SECONDS
    kills: dict[str, Callable[[], Wound]] = field(init=False)
    faults: dict[str, Callable[[], Wound]] = field(init=False)

    def __post_init__(self) -> None:
        self.kills = {
            "pump": self.kill_pump,
            "cluster master": self.kill_cluster_master,
            "supervisor": self.kill_supervisor,
            "web worker": self.kill_web_worker,
            "gunicorn master": self.kill_web_master,
            "PostgreSQL backend": self.kill_backend,
            "postmaster": self.kill_postmaster,
        }
        self.faults = {
            "PostgreSQL frozen": self.freeze_postgres,
            "PostgreSQL read-only": self.forbid_writes,
            "connections exhausted": self.exhaust_connections,
        }
        if self.full_disk.is_mounted:
            self.faults["disk full"] = self.fill_disk
        if self.installation.redis_port:
            self.faults["Redis gone"] = self.take_redis_away

    def do(self, kind: str) -> Wound:
        began_at = time.monotonic()
        wound = {**self.kills, **self.faults}[kind]()
        wound.began_at = wound.began_at or began_at
        wound.ended_at = time.monotonic()
        return wound

    def kill_pump(self) -> Wound:
        """Kill a pump in the middle of a batch, if one is found at that."""
        deadline = time.monotonic() + MID_BATCH_SECONDS
        while True:
            pumps = list(self.installation.pumps().items())
            self.dice.shuffle(pumps)
            for name, (pid, claims) in pumps:
                with suppress(psutil.NoSuchProcess):
                    wound = self._kill_if_busy(name, pid, claims, time.monotonic() > deadline)
                    if wound:
                        return wound
            time.sleep(0.02)

    def _kill_if_busy(self, name: str, pid: int, claims: uuid.UUID, is_late: bool) -> Wound | None:
        process = psutil.Process(pid)
        process.suspend()
        try:
            claimed = self._claimed(claims)
            begun = read_journal(self.installation.folder, claims)
            in_flight = claimed & begun
            if in_flight or is_late:
                began_at = time.monotonic()
                process.kill()
                return Wound(
                    *("pump", pid, began_at),
                    claimed=len(claimed),
                    in_flight=len(in_flight),
                    pump=name,
                    claims=claims,
                )
        finally:
            with suppress(psutil.NoSuchProcess):
                process.resume()
        return None

    def _claimed(self, claims: uuid.UUID) -> set[int]:
        last = uuid.UUID(bytes=claims.bytes[:8] + b"\xff" * 8)
        rows = self.installation.query(
            "SELECT postback_id FROM due_postback WHERE claim_id BETWEEN %s AND %s", claims, last
        )
        return {postback_id for (postback_id,) in rows}

    def kill_cluster_master(self) -> Wound:
        name = self.dice.choice(self.installation.workers)
        master = self.installation.cluster_master(name)
        return self._kill("cluster master", master)

    def kill_supervisor(self) -> Wound:
        name = self.dice.choice(self.installation.workers)
        return self._kill("supervisor", psutil.Process(self.installation.services[name].pid))

    def kill_web_worker(self) -> Wound:
        master = psutil.Process(self.installation.services["web"].pid)
        workers = master.children()
        return self._kill("web worker", self.dice.choice(workers) if workers else None)

    def kill_web_master(self) -> Wound:
        pid = self.installation.services["web"].pid
        return self._kill("gunicorn master", psutil.Process(pid))

    def kill_backend(self) -> Wound:
        """Kill a server process of the product's; PostgreSQL then ends all others and recovers."""
        rows = self.installation.query(
            "SELECT pid FROM pg_stat_activity WHERE usename <> 'postgres' AND state IS NOT NULL"
            " AND backend_type = 'client backend'"
        )
        pids = [pid for (pid,) in rows]
        return self._kill(
            "PostgreSQL backend", psutil.Process(self.dice.choice(pids)) if pids else None
        )

    def kill_postmaster(self) -> Wound:
        postgres = self.installation.postgres()
        return self._kill("postmaster", postgres[0] if postgres else None)

    def _kill(self, kind: str, process: psutil.Process | None) -> Wound:
        if process is None:
            return Wound(kind, note="there was none")
        process.kill()
        return Wound(kind, process.pid, time.monotonic())

    def fill_disk(self) -> Wound:
        with self.full_disk.filled():
            time.sleep(self.fault_seconds)
        return Wound("disk full", note=self.full_disk.means)

    def freeze_postgres(self) -> Wound:
        """Stop every process of PostgreSQL: no connection breaks, nothing answers."""
        frozen = self.installation.postgres()
        for process in frozen:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(self.fault_seconds)
        for process in reversed(frozen):
            with suppress(psutil.NoSuchProcess):
                process.resume()
        return Wound("PostgreSQL frozen")

    def forbid_writes(self) -> Wound:
        """Have PostgreSQL take no writes, as a standby does, and take them again."""
        with psycopg.connect(self.installation.admin_conninfo, autocommit=True) as superuser:
            superuser.execute("SET default_transaction_read_only = off")  # of this session alone
            superuser.execute("ALTER SYSTEM SET default_transaction_read_only = on")
            superuser.execute("SELECT pg_reload_conf()")
            time.sleep(self.fault_seconds)
            superuser.execute("ALTER SYSTEM RESET default_transaction_read_only")
            superuser.execute("SELECT pg_reload_conf()")
        return Wound("PostgreSQL read-only")

    def take_redis_away(self) -> Wound:
        """Kill Redis and with it what it knew; another one, which is empty, comes later."""
        service = self.installation.services["redis"]
        began_at = time.monotonic()
        service.is_wanted = False
        if service.process:
            service.process.kill()
            service.process.wait()
        time.sleep(self.fault_seconds)
        service.is_wanted = True
        return Wound("Redis gone", began_at=began_at)

    def exhaust_connections(self) -> Wound:
        """Take every connection that ordinary logins may have, and end those that there were."""
        taken: list[psycopg.Connection] = []
        deadline = time.monotonic() + self.fault_seconds
        with psycopg.connect(self.installation.admin_conninfo, autocommit=True) as superuser:
            while time.monotonic() < deadline:
                try:
                    taken.append(psycopg.connect(self.installation.login_conninfo))
                except psycopg.OperationalError:
                    superuser.execute(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                        " WHERE usename <> 'postgres' AND application_name <> ''"
                    )
                    time.sleep(0.02)
        for connection in taken:
            connection.close()
        return Wound("connections exhausted", note=f"{len(taken)} taken")


def read_journal(folder: Path, claims: uuid.UUID) -> set[int]:
    """Return the postbacks that a pump noted as begun and not logged."""
    with suppress(OSError):
        content = (folder / "pumps" / claims.hex[:16]).read_bytes()[64:]
        numbers = memoryview(content[: 8 * _MOST_BEGUN]).cast("q")
        return {number for number in numbers if number}
    return set()


class FullDisk:
    """A disk that can be filled: a small tmpfs, where this process may mount one."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.is_mounted = sys.platform == "linux" and os.geteuid() == 0 and self._mount(megabytes)
        self.means = (
            f"a tmpfs of {megabytes} MB"
            if self.is_mounted
            else "not filled, since nothing may be mounted here"
        )

    def close(self) -> None:
        if self.is_mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=False)
            self.is_mounted = False

    @contextmanager
    def filled(self) -> Iterator[None]:
        """Let no byte be free meanwhile."""
        filler = self.folder / "filler"
        try:
            with filler.open("wb") as file:
                size, end = 1 << 30, 0
                while size >= 4096:
                    try:
                        os.posix_fallocate(file.fileno(), end, size)
                        end += size
                    except OSError:
                        size //= 2
            yield
        finally:
            filler.unlink()

    def _mount(self, megabytes: int) -> bool:
        options = f"size={megabytes}m,mode=755"
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder)],
            capture_output=True,
            check=False,
        )
        return done.returncode == 0
