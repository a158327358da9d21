"""Warns about the text of a URL, form or JSON body, whatever its macros are."""

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote, unquote_plus

from postbacks.callbacks.lint.rule_warnings import RuleWarning, WarningCode
from postbacks.callbacks.lint.texts import HIDDEN, RequestText

_MOST: Final = 5  # of one kind in one text
_ENTITY: Final = re.compile(r"&(?:(?:amp|#38|#x26);)+", re.IGNORECASE)
_PLAIN_HTTP: Final = re.compile(r"http://", re.IGNORECASE)
_UNENCODED: Final = re.compile(r"[^\x21-\x7e\0\r\n]+|[\"<>^`{|}]+|%(?![0-9A-Fa-f]{2})")
_AUTHORITY: Final = re.compile(r"[^:/?#]*://[^/?#]*")
_BETWEEN: Final = {"url": re.compile("&"), "body": re.compile(r"[&\r\n]")}
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)

Spans = Collection[tuple[int, int]]


def unencrypted(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of an address without encryption."""
    if scheme := _PLAIN_HTTP.match(text.written):
        yield RuleWarning(
            text.field,
            0,
            len(scheme[0]),
            WarningCode.NOT_ENCRYPTED,
            "http:// is not encrypted: everybody on the way can read what is sent. "
            "Ask the partner whether https:// works.",
            "https://",
        )


def unencoded(text: RequestText, placeholders: Spans) -> Iterator[RuleWarning]:
    """Warn of characters that a URL or form must encode, outside of `placeholders`."""
    beginning = _AUTHORITY.match(text.plain) if text.field == "url" else None
    matches = (
        match
        for match in _UNENCODED.finditer(text.plain.rstrip(), beginning.end() if beginning else 0)
        if not any(start <= match.start() < end for start, end in placeholders)
    )
    for match in islice(matches, _MOST):
        encoded = quote(match[0], safe="", errors="replace")
        name = "A space" if match[0] == " " else f"“{match[0][:40]}”"
        yield RuleWarning(
            text.field,
            match.start(),
            len(match[0]),
            WarningCode.NOT_ENCODED,
            f"{name} has to be encoded here: write {encoded[:120]}.",
            encoded,
        )


def entities(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of &amp;, which HTML writes for &: the next parameter would be called amp;name."""
    for match in islice(_ENTITY.finditer(text.plain), _MOST):
        yield RuleWarning(
            text.field,
            match.start(),
            len(match[0]),
            WarningCode.HTML_ENTITY,
            f"{match[0][:40]} is how HTML writes &. Here it is sent as it stands, so that the next "
            "parameter has a wrong name.",
            "&",
        )


def duplicates(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of parameters that a URL or form has twice.

    Names that end in [] are lists, which servers expect several times.
    """
    start = text.plain.find("?") + 1 if text.field == "url" else 0
    if text.field == "url" and start == 0:
        return
    names: set[str] = set()
    for begin, end in _pieces(text.plain, start, _BETWEEN[text.field]):
        name = unquote_plus(text.plain[begin:end].partition("=")[0].strip())
        if name and name in names and not name.endswith("[]") and HIDDEN not in name:
            yield RuleWarning(
                text.field,
                begin - 1,
                end - begin + 1,
                WarningCode.DUPLICATE_PARAMETER,
                f"{name[:80]} is there twice; most servers read one of them only.",
                "",
            )
        names.add(name)


def duplicate_members(text: RequestText) -> Iterator[RuleWarning]:
    """Warn of members that a JSON object has twice."""
    tokens = list(_JSON_TOKEN.finditer(text.plain))
    open_objects: list[set[str]] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token[0] in "{[":
            open_objects.append(set())
        elif token[0] in "}]" and open_objects:
            open_objects.pop()
        elif token[0][0] == '"' and following is not None and following[0] == ":" and open_objects:
            if token[0] in open_objects[-1]:
                yield RuleWarning(
                    text.field,
                    token.start(),
                    len(token[0]),
                    WarningCode.DUPLICATE_PARAMETER,
                    f"{token[0][:80]} is there twice in one object; most servers read the last.",
                )
            open_objects[-1].add(token[0])


def _pieces(plain: str, start: int, between: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    for separator in between.finditer(plain, start):
        yield start, separator.start()
        start = separator.end()
    yield start, len(plain)
