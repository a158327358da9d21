"""The heads of requests and answers in lines, as libcurl takes and gives them."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import NamedTuple

from postbacks.delivery.http.response import MOST_HEADERS, capped_header

_SWITCHING_PROTOCOLS = 101
_STATUS_LINE = re.compile(rb"HTTP/[0-9.]+ ([1-9][0-9]{2})(?:[^0-9]|$)")
_DEFAULTS = ("Accept", "Expect", "Content-Type")
_DEFAULTS_WITHOUT_BODY = ("Accept",)
_SHORT_LINE = 256
_FEW_LINES = 24
_SHORT_HEAD = 1024
_FIRST_FINAL = 200  # the first status that is not of an interim answer


def header_lines(headers: Mapping[str, str], *, has_body: bool) -> list[bytes]:
    """Return a request's headers, without what libcurl would add; of one name the last counts."""
    beginnings = _line_beginnings(tuple(headers), has_body)
    if beginnings is None:
        last = {name.lower(): (name, value) for name, value in headers.items()}
        last.pop("accept-encoding", None)
        return header_lines(dict(last.values()), has_body=has_body)
    names, lines = beginnings
    # libcurl takes "Name:" for a wish to leave the header out.
    return lines + [
        b"%b: %b" % (name, value.encode("latin-1")) if value.strip(" \t") else b"%b;" % name
        for name, value in zip(names, headers.values(), strict=True)
    ]


@lru_cache(maxsize=4096)
def _line_beginnings(
    names: tuple[str, ...], has_body: bool
) -> tuple[list[bytes], list[bytes]] | None:
    """Return the names as bytes, and the lines that do not depend on values.

    None where a name is there twice, or our own is among them.
    """
    lowered = {name.lower() for name in names}
    if len(lowered) < len(names) or "accept-encoding" in lowered:
        return None
    defaults = _DEFAULTS if has_body else _DEFAULTS_WITHOUT_BODY
    left_out = [b"%b:" % name.encode() for name in defaults if name.lower() not in lowered]
    return [name.encode() for name in names], [*left_out, b"Accept-Encoding: identity"]


class Head(NamedTuple):
    """The head of an answer; `merged` has names and values by the name in lower case."""

    status: int | None
    is_complete: bool = False
    is_wrong: bool = False  # not HTTP, or another protocol
    merged: Mapping[str, tuple[str, str]] = MappingProxyType({})
    headers: Mapping[str, str] = MappingProxyType({})


NO_HEAD = Head(None)


def head_of(lines: list[bytes]) -> Head:
    """Return the last head among the lines of an answer: interim ones come before it."""
    if len(lines) <= _FEW_LINES and sum(map(len, lines)) <= _SHORT_HEAD:
        return _known_head(tuple(lines))
    return _read_head(lines)


def _read_head(lines: Sequence[bytes]) -> Head:
    status, is_complete = None, False
    fields: list[bytes] = []
    for line in lines:
        if is_complete:
            break  # what follows is a trailer
        if line.startswith(b"HTTP/"):
            match = _STATUS_LINE.match(line)
            status = int(match[1]) if match else None
            fields = []
            if status in {None, _SWITCHING_PROTOCOLS}:
                return Head(None, is_wrong=True)
        elif line.strip(b"\r\n"):
            fields.append(line)
        else:
            is_complete = status is not None and status >= _FIRST_FINAL
    merged = _merged(fields)
    headers = dict(islice(merged.values(), MOST_HEADERS))
    return Head(status, is_complete, merged=merged, headers=headers)


# A partner's answers of one second are mostly the same.
_known_head = lru_cache(maxsize=1024)(_read_head)


def _merged(lines: list[bytes]) -> dict[str, tuple[str, str]]:
    """Return names and values by the name in lower case; a repeated header's values are joined."""
    merged: dict[str, tuple[str, str]] = {}
    for line in lines:
        key, name, value = _known_line(line) if len(line) <= _SHORT_LINE else _read_line(line)
        if key in merged:
            name, first = merged[key]
            name, value = capped_header(name, f"{first}, {value}")
        merged[key] = name, value
    return merged


def _read_line(line: bytes) -> tuple[str, str, str]:
    name, _, value = line.decode("latin-1").partition(":")
    return name.lower(), *capped_header(name, value.strip())


# A partner's answers are much alike.
_known_line = lru_cache(maxsize=4096)(_read_line)


def is_chunked(lines: list[bytes]) -> bool:
    return any(
        line[:18].lower() == b"transfer-encoding:" and b"chunked" in line.lower() for line in lines
    )
