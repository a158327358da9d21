"""One call of a stranger, and what would be wrong with its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import HttpResponseBase
from django.test import Client

from tests.isolation.story import MARKER


@dataclass(frozen=True, slots=True)
class Call:
    """A request as the sweep makes it; `json` and `form` exclude each other."""

    method: str
    path: str
    query: Mapping[str, object] = field(default_factory=dict)
    form: Mapping[str, object] | None = None
    json: object = None
    accept: str = "*/*"

    def __str__(self) -> str:
        asked = "&".join(f"{name}={value}" for name, value in self.query.items())
        return f"{self.method} {self.path}" + (f"?{asked}" if asked else "")


@dataclass(frozen=True, slots=True)
class Leak:
    """A call after which a stranger knows or did what nobody outside may."""

    call: Call
    why: str

    def __str__(self) -> str:
        return f"{self.call}: {self.why}"


def make(client: Client, call: Call, headers: Mapping[str, str]) -> HttpResponseBase:
    """Make a call as a browser would if it has a form, else as a program would."""
    sent = {"Accept": call.accept, **headers}
    given: dict[str, object] = {"query_params": call.query, "headers": sent}
    if call.form is not None:
        return client.post(call.path, call.form, **given)
    if call.method == "GET":
        return client.get(call.path, **given)
    send = getattr(client, call.method.lower())
    return send(call.path, call.json, content_type="application/json", **given)


def leak_in(call: Call, answer: HttpResponseBase) -> Leak | None:
    """Return what is wrong with an answer."""
    if answer.status_code >= 500:
        return Leak(call, f"answered {answer.status_code}")
    shown = b"".join(answer) if answer.streaming else answer.content
    everything = shown.decode("utf-8", "replace") + str(answer.headers) + str(answer.cookies)
    return Leak(call, "showed the marker") if MARKER in everything else None
