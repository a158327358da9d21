"""The current actor: set once at each entry point, stored by the audit log with every change."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db.models import TextChoices


class ActorKind(TextChoices):
    """The kind of actor that makes a change."""

    PERSON = "person", "Person"
    TOKEN = "token", "API token"
    OPERATOR = "operator", "Operator"
    SDK_KEY = "sdk_key", "SDK key"
    SYSTEM = "system", "Postbacks itself"


class Door(TextChoices):
    """The entry point through which a change came."""

    WEB = "web", "Web"
    API = "api", "API"
    COMMAND = "command", "Command line"
    WORKER = "worker", "Background work"


@dataclass(frozen=True, slots=True)
class Actor:
    """An actor as the audit log stores it: by name, since people and tokens may be deleted."""

    kind: ActorKind
    name: str
    door: Door
    user_id: int | None = None
    address: str | None = None


SYSTEM = Actor(ActorKind.SYSTEM, "Postbacks", Door.WORKER)

_current: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def current_actor() -> Actor:
    """Return the actor that `acting_as` set, otherwise Postbacks itself."""
    return _current.get()


@contextmanager
def acting_as(actor: Actor) -> Iterator[None]:
    """Attribute every change within to this actor."""
    token = _current.set(actor)
    try:
        yield
    finally:
        _current.reset(token)


def command_actor(name: str) -> Actor:
    """Return the operator who runs a management command, named after the command."""
    return Actor(ActorKind.OPERATOR, f"manage.py {name}", Door.COMMAND)
