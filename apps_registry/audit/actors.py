"""Who is at work now: set once at each door, read by the audit log with every change."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from django.db.models import TextChoices


class ActorKind(TextChoices):
    """What kind of somebody makes a change."""

    PERSON = "person", "Person"
    TOKEN = "token", "API token"
    OPERATOR = "operator", "Operator"
    SDK_KEY = "sdk_key", "SDK key"
    SYSTEM = "system", "Postbacks itself"


class Door(TextChoices):
    """Through what a change came."""

    WEB = "web", "Web"
    API = "api", "API"
    COMMAND = "command", "Command line"
    WORKER = "worker", "Background work"


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody as the audit log remembers them: by name, since people and tokens go."""

    kind: ActorKind
    name: str
    door: Door
    user_id: int | None = None
    address: str | None = None


SYSTEM = Actor(ActorKind.SYSTEM, "Postbacks", Door.WORKER)

_current: ContextVar[Actor] = ContextVar("actor", default=SYSTEM)


def current_actor() -> Actor:
    """Return who is at work; where no door said so, it is Postbacks itself."""
    return _current.get()


@contextmanager
def acting(actor: Actor) -> Iterator[None]:
    """Have every change within be this actor's."""
    token = _current.set(actor)
    try:
        yield
    finally:
        _current.reset(token)


def command(name: str) -> Actor:
    """Return whoever runs a management command: an operator, whose name nobody asked for."""
    return Actor(ActorKind.OPERATOR, f"manage.py {name}", Door.COMMAND)
