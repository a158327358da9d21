"""Run everything for development: `manage.py dev`, or `make dev`."""

import sys
import time

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from postbacks.demo.child_processes import ChildProcesses, DemoError, require_free, stop_on_signals
from postbacks.infrastructure import environment
from postbacks.infrastructure.database.embedded import EmbeddedServer, EmbeddedServerError


class Command(BaseCommand):
    """Runs the server with autoreload and a worker, on the embedded PostgreSQL or your own."""

    help = "Runs the web server with autoreload and a worker until Ctrl-C."
    requires_system_checks = []

    def handle(self, *args: object, **options: object) -> None:
        stop_on_signals()
        port = environment.parsed("PORT", environment.natural, default=8000)
        server = EmbeddedServer(settings.DATA_DIR)
        children = ChildProcesses(settings.DATA_DIR, settings.BASE_DIR)
        own_server = settings.DATABASE_URL == settings.EMBEDDED_URL
        try:
            require_free(port)
            if own_server:
                server.start()
            manage = [sys.executable, "manage.py"]
            children.run([*manage, "migrate", "--verbosity=0"], name="migrate")
            children.start("worker", [*manage, "worker"], environment={"DEBUG": "1"})
            children.start(
                "server",
                [*manage, "runserver", f"127.0.0.1:{port}"],
                environment={"DEBUG": "1", "PYTHONUNBUFFERED": "1"},
                to_terminal=True,
            )
            while True:
                time.sleep(0.5)
                children.check()
        except (DemoError, EmbeddedServerError) as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt:
            self.stdout.write("Stopping …")
        finally:
            children.stop()
            if own_server:
                server.stop()
