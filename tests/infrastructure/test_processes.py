"""Garbage collections, which stop a process, pass over what is loaded for good."""

import subprocess
import sys

import pytest
from django.conf import settings

from tests import database

_PATIENT_WORKER = """
from gunicorn.app.wsgiapp import WSGIApplication
from gunicorn.config import Config
from postbacks.web.patient_worker import PatientWorker
from postbacks.wsgi import application

class App:
    def wsgi(self):
        return application

worker = PatientWorker(1, 1, [], App(), 30, Config(), None)
worker.load_wsgi()
"""
_PUMP = """
from unittest.mock import patch
from postbacks.worker import tasks

with patch.object(tasks.settings, "PUMP_SECONDS", 0.1):
    tasks.run_pump(0)
"""


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("start", [_PATIENT_WORKER, _PUMP], ids=["web", "pump"])
def test_a_full_collection_walks_little_of_what_is_loaded(start: str) -> None:
    code = f"""
import django, gc
django.setup()
{start}
loaded, walked = gc.get_freeze_count(), len(gc.get_objects())
assert loaded > 100_000 > 4 * walked, (loaded, walked)
"""
    subprocess.run(
        [sys.executable, "-c", code],
        cwd=settings.BASE_DIR,
        env=database.environment(),
        check=True,
        timeout=60,
    )
