"""What our management commands share: their changes stand in the audit log under their name."""

from typing import Any

from django.core.management.base import BaseCommand

from apps_registry.audit.actors import acting_as, command_actor


class RecordedCommand(BaseCommand):
    """A command that changes what organizations own, in the name of an operator."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command as whoever started it."""
        with acting_as(command_actor(type(self).__module__.rpartition(".")[2])):
            return super().execute(*args, **options)
