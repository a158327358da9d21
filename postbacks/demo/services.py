"""The demo's services: PostgreSQL, the stand-in ad network, the web server and the worker."""

import http.client
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from django.conf import settings

from postbacks.demo import organization
from postbacks.demo.child_processes import ChildProcesses, DemoError
from postbacks.demo.organization import DemoOrganization
from postbacks.demo.simulation.scenarios import ANONYMOUS_NETWORK
from postbacks.infrastructure.database.embedded import DATABASE, EmbeddedServer

HOST = "127.0.0.1"
_READY_SECONDS = 90.0


@dataclass(slots=True)
class Services:
    """The services of one data folder, with the web server on one port."""

    folder: Path
    port: int
    say: Callable[[str], object]
    partner_port: int = 0
    children: ChildProcesses = field(init=False)
    _server: EmbeddedServer | None = None

    def __post_init__(self) -> None:
        self.children = ChildProcesses(self.folder, settings.BASE_DIR)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def partner_url(self) -> str:
        return f"http://{HOST}:{self.partner_port}"

    def start_database(self) -> None:
        """Start PostgreSQL unless DATABASE_URL names one, and migrate it."""
        if settings.DATABASE_URL == settings.EMBEDDED_URL:
            self.say("Starting PostgreSQL …")
            server = EmbeddedServer(self.folder)
            server.start()
            self._server = server
        self.say("Preparing the database …")
        migrate = [sys.executable, "manage.py", "migrate", "--verbosity=0"]
        self.children.run(migrate, name="migrate")
        # The exchange rates of one day, repeated for every day that the demo's events may have.
        rates = str(Path(__file__).with_name("rates-2024-04-26.csv"))
        load_rates = [sys.executable, "manage.py", "load_rates", rates, "--repeat=60"]
        self.children.run(load_rates, name="load_rates")

    def start_processes(
        self, *, before: Callable[[DemoOrganization], object] | None = None
    ) -> DemoOrganization:
        """Start the other services and return the organization once all of them answer.

        `before` is called with an organization that is new, while nothing else works on it yet.
        """
        self.say("Starting the stand-in ad network, the web server and the worker …")
        self._start_partner()
        demo = organization.set_up(self.partner_url)
        if before and demo.is_new:
            before(demo)
        environment = {"PUBLIC_URL": self.url, "ANONYMOUS_NETWORKS": ANONYMOUS_NETWORK}
        web = [
            sys.executable,
            "-m",
            "gunicorn",
            f"--bind={HOST}:{self.port}",
            "--workers=2",
        ]
        self.children.start("web", web, environment=environment)
        worker = [sys.executable, "manage.py", "worker"]
        self.children.start("worker", worker, environment=environment)
        self._wait_until_ready()
        return demo

    @property
    def superuser(self) -> str:
        """Return how the embedded server's superuser connects; empty for another server."""
        return self._server.admin_conninfo(DATABASE) if self._server else ""

    def check(self) -> None:
        """Raise DemoError if a service has ended unexpectedly."""
        if self._server and not self._server.is_running():
            raise DemoError(f"PostgreSQL has ended; see {self.folder / 'postgres.log'}.")
        self.children.check()

    def stop(self) -> None:
        """Stop every service, PostgreSQL last."""
        self.children.stop()
        if self._server:
            self._server.stop()

    def _start_partner(self) -> None:
        """Start the stand-in on the port of earlier runs, which rules name."""
        port_file = self.folder / "partner_port"
        port = port_file.read_text().strip() if port_file.exists() else "0"
        folder = self.folder / "partner"
        folder.mkdir(parents=True, exist_ok=True)
        first_line = self.children.start(
            "partner",
            [
                sys.executable,
                "-m",
                "postbacks.demo.partner.server",
                f"--port={port}",
                f"--data={folder}",
            ],
            environment={},
            first_line=True,
        )
        if not first_line.isdigit():
            raise DemoError(f"The stand-in did not start: {self.children.last_log_line('partner')}")
        port_file.write_text(first_line)
        self.partner_port = int(first_line)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            self.children.check()
            if self._is_ready():
                return
            time.sleep(0.1)
        raise DemoError(
            f"Not everything answered within {_READY_SECONDS:.0f} s; see {self.folder}."
        )

    def _is_ready(self) -> bool:
        request = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            request.request("GET", "/readyz")
            return request.getresponse().status == 200
        except OSError:
            return False
        finally:
            request.close()
