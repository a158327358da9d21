"""The base of commands whose changes are audited under the command's name."""

from typing import Any

from django.core.management.base import BaseCommand

from apps_registry.audit.actors import acting_as, command_actor


class RecordedCommand(BaseCommand):
    """A command that changes rows of organizations; an operator runs it."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        with acting_as(command_actor(type(self).__module__.rpartition(".")[2])):
            return super().execute(*args, **options)
