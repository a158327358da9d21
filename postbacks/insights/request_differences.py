"""Shows where the requests of two attempts of one postback differ, part by part."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote_plus

import msgspec

MOST_DIFFERENCES = 50
_LONGEST_VALUE = 500
# They name the moment of their attempt.
_OF_THE_MOMENT = frozenset({"webhook-timestamp", "webhook-signature"})
_LABELS = {
    "method": "Method",
    "url": "Address",
    "query": "Parameter",
    "headers": "Header",
    "body": "Body",
}

_Parts = dict[tuple[str, str], str]  # kind and name of a part


@dataclass(frozen=True, slots=True)
class RequestDifference:
    """A part in which two requests differ: its value in each, None where one lacks it.

    `field` is the part as the API names it: `method`, `url` without its query, `query.id`,
    `headers.X-Key`, `body`, or `body.id` of a form or a JSON object.
    """

    kind: str
    name: str
    before: str | None
    after: str | None

    @property
    def field(self) -> str:
        return f"{self.kind}.{self.name}" if self.name else self.kind

    @property
    def label(self) -> str:
        return f"{_LABELS[self.kind]} {self.name}".strip()


def request_differences(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> tuple[RequestDifference, ...]:
    """Return the parts in which two stored requests differ, at most `MOST_DIFFERENCES`.

    An attempt without a request differs from none.
    """
    if not before or not after or before == after:
        return ()
    return tuple(islice(_differences(_parts(before), _parts(after)), MOST_DIFFERENCES))


def _differences(before: _Parts, after: _Parts) -> Iterator[RequestDifference]:
    for kind, name in dict.fromkeys((*before, *after)):
        old, new = before.get((kind, name)), after.get((kind, name))
        if old != new:
            yield RequestDifference(kind, name, _shortened(old), _shortened(new))


def _parts(request: Mapping[str, object]) -> _Parts:
    url, _, query = str(request.get("url") or "").partition("?")
    parts = {("method", ""): str(request.get("method") or ""), ("url", ""): url}
    parts |= _of_form("query", query)
    headers = request.get("headers")
    content_type = ""
    for name, value in headers.items() if isinstance(headers, Mapping) else ():
        if str(name).lower() == "content-type":
            content_type = str(value).lower()
        if str(name).lower() not in _OF_THE_MOMENT:
            parts["headers", str(name)] = str(value)
    body = request.get("body")
    return parts if body is None else parts | _of_body(str(body), content_type)


def _of_body(body: str, content_type: str) -> _Parts:
    if content_type.startswith("application/x-www-form-urlencoded"):
        return _of_form("body", body)
    try:
        members = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.DecodeError, RecursionError):
        return {("body", ""): body}
    return {("body", name): bytes(value).decode() for name, value in members.items()}


def _of_form(kind: str, text: str) -> _Parts:
    """Return the parameters by name; the values of one that stands repeatedly are joined."""
    values: dict[str, list[str]] = {}
    for pair in filter(None, text.split("&")):
        name, _, value = pair.partition("=")
        values.setdefault(unquote_plus(name), []).append(unquote_plus(value))
    return {(kind, name): ", ".join(texts) for name, texts in values.items()}


def _shortened(value: str | None) -> str | None:
    if value is None or len(value) <= _LONGEST_VALUE:
        return value
    return value[: _LONGEST_VALUE - 1] + "…"
