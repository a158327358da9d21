"""The base of commands whose changes are audited under the command's name, and their prompt."""

import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps_registry.audit.actors import acting_as, command_actor


class RecordedCommand(BaseCommand):
    """A command that changes rows of organizations; an operator runs it."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        with acting_as(command_actor(type(self).__module__.rpartition(".")[2])):
            return super().execute(*args, **options)


def prompt_for_password(prompt: str, *, remedy: str) -> str:
    """Return the password that a person types. Without a terminal raises CommandError."""
    try:
        return getpass.getpass(prompt)
    except EOFError:
        raise CommandError(f"There is no terminal to ask for a password. {remedy}") from None
