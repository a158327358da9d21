"""One request and its answer as people read them: parameter by parameter, JSON indented, as curl.

All of it is what was stored: secrets were masked before, and nobody can bring them back.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

import msgspec

from postbacks.delivery.attempt import STORED_BODY_LENGTH


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class ShownRequest:
    """A request: its address in parts, its headers and its body."""

    method: str
    url: str
    address: str
    parameters: tuple[Pair, ...]
    headers: tuple[Pair, ...]
    body: str

    @property
    def curl(self) -> str:
        """Return the request as a command for a shell, with `•••` where secrets were."""
        parts = ["curl", "--request", self.method, shlex.quote(self.url)]
        for header in self.headers:
            parts += ["\\\n  --header", shlex.quote(f"{header.name}: {header.value}")]
        if self.body:
            parts += ["\\\n  --data-raw", shlex.quote(self.raw_body)]
        return " ".join(parts)

    raw_body: str = ""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """An answer: its headers and the beginning of its body."""

    headers: tuple[Pair, ...]
    body: str
    is_cut: bool


def request_view(stored: object) -> ShownRequest | None:
    """Return a stored request for people, None where none was made."""
    if not isinstance(stored, Mapping) or not stored.get("url"):
        return None
    url, body = str(stored["url"]), stored.get("body")
    address, _, query = url.partition("?")
    return ShownRequest(
        method=str(stored.get("method") or "GET"),
        url=url,
        address=address,
        parameters=tuple(_parameter(part) for part in query.split("&") if part),
        headers=_pairs(stored.get("headers")),
        body=indented(body) if body else "",
        raw_body=str(body or ""),
    )


def response_view(stored: object) -> ShownAnswer | None:
    if not isinstance(stored, Mapping) or not stored:
        return None
    body = str(stored.get("body") or "")
    return ShownAnswer(
        _pairs(stored.get("headers")), indented(body), len(body) >= STORED_BODY_LENGTH
    )


def indented(text: object) -> str:
    """Return JSON indented, its numbers digit by digit as they came; other text as it is."""
    shown = str(text)
    try:
        return msgspec.json.format(shown, indent=2) if shown[:1] in "{[" else shown
    except (msgspec.DecodeError, RecursionError):
        return shown


def _parameter(part: str) -> Pair:
    name, _, value = part.partition("=")
    return Pair(unquote_plus(name), unquote_plus(value))


def _pairs(stored: object) -> tuple[Pair, ...]:
    if not isinstance(stored, Mapping):
        return ()
    return tuple(Pair(str(name), str(value)) for name, value in stored.items())
