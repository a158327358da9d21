"""Reads the parameters of a call, wherever they stand: query, form or JSON."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from postbacks.intake.events.body import BodyError, inflate, parse_json

_MOST = 500  # parameters; Tenjin's SDKs send about fifty
_FORM = "application/x-www-form-urlencoded"


def read_query(query: str) -> dict[str, object]:
    """Return the parameters of a query string; the last of a name counts.

    Raises BodyError (400) if there are too many.
    """
    return dict(_pairs(query))


def read_body(body: bytes, *, content_type: str, encoding: str = "") -> Mapping[str, object]:
    """Return the parameters of a body: a form, or an object of JSON.

    Raises BodyError (400, 413 or 415).
    """
    content = inflate(body, encoding.strip().lower())
    kind = content_type.partition(";")[0].strip().lower()
    if not content.strip():
        return {}
    if kind == "application/json" or (kind in {"", "text/plain"} and content.lstrip()[:1] == b"{"):
        return _object(content)
    if kind in {"", "text/plain", _FORM}:
        return dict(_pairs(content.decode("utf-8", "replace")))
    raise BodyError(415, f"The Content-Type “{kind}” is not taken; send a form or JSON.")


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, max_num_fields=_MOST)
    except ValueError:
        raise BodyError(400, f"More than {_MOST} parameters are too many for one call.") from None


def _object(content: bytes) -> Mapping[str, object]:
    data = parse_json(content)
    if not isinstance(data, dict):
        raise BodyError(400, "The JSON must be one object of parameters.")
    return data
