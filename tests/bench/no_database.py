"""The web server's application with nothing stored: what is left is the view's own time.

`gunicorn tests.bench.no_database:application`. Keys are asked for as always, about twice a second.
"""

from collections.abc import Mapping
from typing import Any

import django

django.setup()

from postbacks.intake.events import recording  # noqa: E402  # after the set-up
from postbacks.wsgi import application  # noqa: E402

__all__ = ["application"]


class _NoCommit:
    """Takes every event for new."""

    def commit(self, report: Any) -> tuple[int, Mapping[str, set[str]]]:
        return len(report.events), {}


recording._commits = recording._large_commits = _NoCommit()
