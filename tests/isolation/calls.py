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
        query = "&".join(f"{name}={value}" for name, value in self.query.items())
        return f"{self.method} {self.path}" + (f"?{query}" if query else "")


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
    options: dict[str, object] = {"query_params": call.query, "headers": sent}
    if call.form is not None:
        return client.post(call.path, call.form, **options)
    if call.method == "GET":
        return client.get(call.path, **options)
    send = getattr(client, call.method.lower())
    return send(call.path, call.json, content_type="application/json", **options)


def leak_in(call: Call, answer: HttpResponseBase) -> Leak | None:
    """Return what is wrong with an answer."""
    if answer.status_code >= 500:
        return Leak(call, f"answered {answer.status_code}")
    body = b"".join(answer) if answer.streaming else answer.content
    everything = body.decode("utf-8", "replace") + str(answer.headers) + str(answer.cookies)
    return Leak(call, "showed the marker") if MARKER in everything else None
