"""Show a stored request and its answer: parameter by parameter, JSON indented, and as curl.

Secrets were masked before storing, and nobody can bring them back.
"""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote_plus

import msgspec

from postbacks.delivery.redaction import STORED_BODY_LENGTH


@dataclass(frozen=True, slots=True)
class Pair:
    """A name and its value."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RequestView:
    """A request: its address in parts, its headers, and its body, indented and as sent."""

    method: str
    url: str
    address: str
    parameters: tuple[Pair, ...]
    headers: tuple[Pair, ...]
    body: str
    raw_body: str = ""

    @property
    def curl(self) -> str:
        """Return the request as a command for a shell, with `•••` where secrets were."""
        # curl would take braces and brackets for several addresses.
        as_it_is = ["--globoff"] if set("{}[]") & set(self.url) else []
        parts = ["curl", *as_it_is, "--request", self.method, shlex.quote(self.url)]
        for header in self.headers:
            parts += ["\\\n  --header", shlex.quote(f"{header.name}: {header.value}")]
        if self.body:
            parts += ["\\\n  --data-raw", shlex.quote(self.raw_body)]
        return " ".join(parts)


@dataclass(frozen=True, slots=True)
class ResponseView:
    """An answer: its headers and the beginning of its body."""

    headers: tuple[Pair, ...]
    body: str
    is_cut: bool


def request_view(stored: object) -> RequestView | None:
    """Return a stored request in parts, None where none was made."""
    if not isinstance(stored, Mapping) or not stored.get("url"):
        return None
    url, body = str(stored["url"]), stored.get("body")
    address, _, query = url.partition("?")
    return RequestView(
        method=str(stored.get("method") or "GET"),
        url=url,
        address=address,
        parameters=tuple(_parameter(part) for part in query.split("&") if part),
        headers=_pairs(stored.get("headers")),
        body=indented(body) if body else "",
        raw_body=str(body or ""),
    )


def response_view(stored: object) -> ResponseView | None:
    if not isinstance(stored, Mapping) or not stored:
        return None
    body = str(stored.get("body") or "")
    return ResponseView(
        _pairs(stored.get("headers")), indented(body), len(body) >= STORED_BODY_LENGTH
    )


def indented(text: object) -> str:
    """Return JSON indented, its numbers digit by digit as they came; other text as it is."""
    body = str(text)
    try:
        return msgspec.json.format(body, indent=2) if body[:1] in "{[" else body
    except (msgspec.DecodeError, RecursionError):
        return body


def _parameter(part: str) -> Pair:
    name, _, value = part.partition("=")
    return Pair(unquote_plus(name), unquote_plus(value))


def _pairs(stored: object) -> tuple[Pair, ...]:
    if not isinstance(stored, Mapping):
        return ()
    return tuple(Pair(str(name), str(value)) for name, value in stored.items())
