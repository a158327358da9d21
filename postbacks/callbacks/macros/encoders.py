"""Encodes values for each place of a request.

Each place has a safe encoding, and a raw one that refuses to change the request's structure.
"""

import json
import re
from functools import lru_cache
from typing import Final, NoReturn
from urllib.parse import quote

from postbacks.callbacks.macros.problems import RenderError
from postbacks.callbacks.macros.skeleton import UNRESERVED, Encoder, Hole
from postbacks.callbacks.macros.value import MASK, json_of, json_string_content, text_of

RAW_REFUSED: Final = "raw_changed_request"

_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]+")
_BREAKS_QUERY: Final = re.compile(r"[\x00-\x20\x7f\\#&]")
_BREAKS_PATH: Final = re.compile(r"[\x00-\x20\x7f\\#&/?]")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


def for_path(hole: Hole) -> Encoder:
    return _chosen(hole, _raw_path, _percent)


def for_parameter(hole: Hole) -> Encoder:
    return _chosen(hole, _raw_parameter, _percent)


def for_header(hole: Hole) -> Encoder:
    return _chosen(hole, _raw_header, _header)


def for_json_string(hole: Hole) -> Encoder:
    return _chosen(hole, _raw_json_string, _json_string)


def for_json_value(hole: Hole) -> Encoder:
    """Return the encoder of a whole JSON value, which keeps the value's own type."""
    return _chosen(hole, _raw_json_value, _json_value)


def as_text(_: Hole) -> Encoder:
    return _text


def _chosen(hole: Hole, raw: Encoder, safe: Encoder) -> Encoder:
    if not hole.raw:
        return safe
    if not hole.secret:
        return raw

    def encode(value: object) -> str:
        try:
            return raw(value)
        except RenderError:  # which would tell what a credential made of the value
            return safe(value)

    return encode


def url_literal(text: str) -> str:
    """Encode a template's own text for a URL; what is encoded already stays."""
    return quote(text, safe=_PRINTABLE, errors="replace")


def _text(value: object) -> str:
    return "" if value is None else text_of(value)


def _percent(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else text_of(value)
    if not text.strip(UNRESERVED):  # most values need no encoding
        return text
    if value is MASK:
        return text
    return _quoted_short(text) if len(text) <= _SHORT else _quoted(text)


def _quoted(text: str) -> str:
    return quote(text, safe="", errors="replace")


# What needs encoding comes again and again: campaign names, user agents, models.
_SHORT: Final = 256
_quoted_short = lru_cache(maxsize=4_096)(_quoted)


def _raw_path(value: object) -> str:
    return _raw_url(value, _BREAKS_PATH, "path")


def _raw_parameter(value: object) -> str:
    return _raw_url(value, _BREAKS_QUERY, "query or form")


def _raw_url(value: object, breaking: re.Pattern[str], part: str) -> str:
    text = _text(value)
    if value is MASK:
        return text
    if breaking.search(text):
        _refuse(f"a raw value would have changed the {part}")
    return url_literal(text)


def _header(value: object) -> str:
    text = _text(value)
    if text.isascii() and text.isprintable():
        return text
    if value is MASK:
        return text
    text = _CONTROLS.sub("", text)
    if max(text, default="") <= "\xff":
        return text
    # One way for the whole value: half in Latin-1 and half in UTF-8, nobody could read it.
    return _NOT_ASCII.sub(lambda match: quote(match[0], errors="replace"), text)


def _raw_header(value: object) -> str:
    text = _text(value)
    if value is not MASK and (_CONTROLS.search(text) or max(text, default="") > "\xff"):
        _refuse("a raw value can't stand in a header")
    return text


def _json_string(value: object) -> str:
    return "" if value is None else json_string_content(text_of(value))


def _json_value(value: object) -> str:
    return json_of(value)


def _raw_json_string(value: object) -> str:
    text = _text(value)
    if not _is_json(f'"{text}"'):
        _refuse("a raw value would have changed the JSON body")
    return text


def _raw_json_value(value: object) -> str:
    if value is None:
        return "null"
    if value is MASK:
        return json_of(value)
    text = text_of(value)
    if not _is_json(text):
        _refuse("a raw value would have changed the JSON body")
    return text


def _is_json(text: str) -> bool:
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return False
    return True


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _refuse(detail: str) -> NoReturn:
    raise RenderError(RAW_REFUSED, f"{detail[0].upper()}{detail[1:]}.")
