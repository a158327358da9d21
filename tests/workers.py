"""What the worker does for tests, in its database role and in the test's own thread."""

from datetime import UTC, datetime

from postbacks import pipeline
from postbacks.infrastructure.database import roles
from postbacks.rulebook import held_postbacks, replaying
from tests import database


def decide() -> int:
    """Decide one batch of events; return how many it had."""
    with database.as_role(roles.WORKER):
        return pipeline.decide_events()


def decide_all() -> None:
    """Decide events until none waits."""
    with database.as_role(roles.WORKER):
        while pipeline.decide_events():
            pass


def work() -> None:
    """Run the pipeline until nothing waits."""
    with database.as_role(roles.WORKER):
        while pipeline.work():
            pass


def work_on_held(now: datetime | None = None) -> None:
    """Do at a moment what the tasks for held postbacks do, until nothing is left to do."""
    with database.as_role(roles.WORKER):
        held_postbacks.sweep_queue(60)
        held_postbacks.work(60, now=lambda: now or datetime.now(UTC))


def work_on_replays(now: datetime | None = None) -> None:
    """Do at a moment what the task for replays does, until nothing is left to do."""
    with database.as_role(roles.WORKER):
        replaying.work(60, now=lambda: now or datetime.now(UTC))
