"""The partner of the benchmark: it answers 200 "ok" as fast as this machine lets it."""

import re
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from postbacks.demo.child_processes import free_port
from tests.bench.children import Children

HOST = "127.0.0.1"
_NGINX = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_rlimit_nofile 4096;
events {{ worker_connections 2048; }}
http {{
    log_format arrivals '$msec $arg_key';
    access_log {arrivals} arrivals buffer=64k flush=100ms;
    keepalive_requests 1000000000;
    keepalive_timeout 600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port};
        location / {{ default_type text/plain; return 200 "ok"; }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Sink:
    """A running sink. `bound` is what wrk got out of it, in requests per second."""

    kind: str
    port: int
    bound: float | None
    log: Path

    @property
    def url(self) -> str:
        """Return the sink's address."""
        return f"http://{HOST}:{self.port}"

    def mark(self) -> int:
        """Return a place in the log of arrivals, to read on from there."""
        return self.log.stat().st_size

    def arrivals(self, *, after: int) -> dict[str, float]:
        """Return when each postback arrived first, in seconds since 1970, by its event's id."""
        arrivals: dict[str, float] = {}
        with self.log.open() as log:
            log.seek(after)
            for line in log:
                moment, _, key = line.rstrip("\n").partition(" ")
                if key:
                    arrivals.setdefault(key, float(moment))
        return arrivals


def start(children: Children, folder: Path) -> Sink:
    """Start nginx, or the stand-in where nginx is missing, and measure it with wrk."""
    port = free_port()
    nginx = program("nginx")
    folder.mkdir(parents=True)
    log = folder / "arrivals.log"
    log.touch()
    command = [sys.executable, "-m", "tests.bench.stand_in_sink", str(port), str(log)]
    if nginx:
        configuration = _NGINX.format(folder=folder, host=HOST, port=port, arrivals=log)
        (folder / "nginx.conf").write_text(configuration)
        command = [
            nginx,
            "-p",
            str(folder),
            "-c",
            str(folder / "nginx.conf"),
            "-e",
            str(folder / "error.log"),
        ]
    children.start("sink", command, {})
    children.wait_until(lambda: listens(port), "The sink listens", seconds=10)
    return Sink("nginx" if nginx else "stand-in", port, _bound(port), log)


def missing_programs() -> list[str]:
    """Return what is not installed and what that means, a sentence each."""
    sentences = []
    if not program("nginx"):
        sentences.append("nginx is not installed: a slower stand-in is used; apt-get install nginx")
    if not program("wrk"):
        sentences.append(
            "wrk is not installed: the sink itself is not measured; apt-get install wrk"
        )
    return sentences


def listens(port: int) -> bool:
    """Tell whether somebody takes connections there."""
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


def program(name: str) -> str | None:
    """Return the path of an installed program."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


def _bound(port: int) -> float | None:
    wrk = program("wrk")
    if not wrk:
        return None
    command = [wrk, "-t1", "-c32", "-d1s", f"http://{HOST}:{port}/"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    match = re.search(r"Requests/sec:\s+([\d.]+)", output)
    return float(match[1]) if match else None
