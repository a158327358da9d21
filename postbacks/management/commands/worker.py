"""Run a worker: `manage.py worker`."""

import os
import socket

from django.core.management.base import BaseCommand

from postbacks.worker.supervisor import Supervisor


class Command(BaseCommand):
    """Runs the supervised django-q2 cluster that decides and delivers."""

    help = "Runs the django-q2 cluster under supervision until SIGTERM or Ctrl-C."

    def handle(self, *args: object, **options: object) -> None:
        Supervisor(name=f"{socket.gethostname()}-{os.getpid()}").run()
