"""What is odd in a URL, a form or a JSON body as it is written, whatever its macros are."""

import re
from collections.abc import Collection, Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote, unquote_plus

from postbacks.callbacks.lint.remark import Code, RuleWarning
from postbacks.callbacks.lint.texts import HIDDEN, Text

_MOST: Final = 5  # of one kind in one text
_PLAIN_HTTP: Final = re.compile(r"http://", re.IGNORECASE)
_UNENCODED: Final = re.compile(r"[^\x21-\x7e\0\r\n]+|[\"<>^`{|}]+|%(?![0-9A-Fa-f]{2})")
_AUTHORITY: Final = re.compile(r"[^:/?#]*://[^/?#]*")
_BETWEEN: Final = {"url": re.compile("&"), "body": re.compile(r"[&\r\n]")}
_JSON_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]', re.DOTALL)

Spans = Collection[tuple[int, int]]


def unencrypted(text: Text) -> Iterator[RuleWarning]:
    """This is an address that anybody on the way can read along with."""
    if found := _PLAIN_HTTP.match(text.written):
        yield RuleWarning(
            text.field,
            0,
            len(found[0]),
            Code.NOT_ENCRYPTED,
            "http:// is not encrypted: everybody on the way can read what is sent. "
            "Ask the partner whether https:// works.",
            "https://",
        )


def unencoded(text: Text, placeholders: Spans) -> Iterator[RuleWarning]:
    """These are characters that a URL or a form must hold in encoded form.

    `placeholders` are spoken of already.
    """
    beginning = _AUTHORITY.match(text.plain) if text.field == "url" else None
    found = (
        it
        for it in _UNENCODED.finditer(text.plain.rstrip(), beginning.end() if beginning else 0)
        if not any(start <= it.start() < end for start, end in placeholders)
    )
    for it in islice(found, _MOST):
        encoded = quote(it[0], safe="", errors="replace")
        shown = "A space" if it[0] == " " else f"“{it[0][:40]}”"
        yield RuleWarning(
            text.field,
            it.start(),
            len(it[0]),
            Code.NOT_ENCODED,
            f"{shown} has to be encoded here: write {encoded[:120]}.",
            encoded,
        )


def duplicates(text: Text) -> Iterator[RuleWarning]:
    """These are parameters of a URL or a form that are there already.

    Names that end in [] are lists, which servers expect several times.
    """
    start = text.plain.find("?") + 1 if text.field == "url" else 0
    if text.field == "url" and start == 0:
        return
    seen: set[str] = set()
    for begin, end in _pieces(text.plain, start, _BETWEEN[text.field]):
        name = unquote_plus(text.plain[begin:end].partition("=")[0].strip())
        if name and name in seen and not name.endswith("[]") and HIDDEN not in name:
            yield RuleWarning(
                text.field,
                begin - 1,
                end - begin + 1,
                Code.DUPLICATE_PARAMETER,
                f"{name[:80]} is there twice; most servers read one of them only.",
                "",
            )
        seen.add(name)


def duplicate_members(text: Text) -> Iterator[RuleWarning]:
    """These are members of a JSON object that it has already."""
    tokens = list(_JSON_TOKEN.finditer(text.plain))
    open_: list[set[str]] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if token[0] in "{[":
            open_.append(set())
        elif token[0] in "}]" and open_:
            open_.pop()
        elif token[0][0] == '"' and following is not None and following[0] == ":" and open_:
            if token[0] in open_[-1]:
                yield RuleWarning(
                    text.field,
                    token.start(),
                    len(token[0]),
                    Code.DUPLICATE_PARAMETER,
                    f"{token[0][:80]} is there twice in one object; most servers read the last.",
                )
            open_[-1].add(token[0])


def _pieces(plain: str, start: int, between: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    for found in between.finditer(plain, start):
        yield start, found.start()
        start = found.end()
    yield start, len(plain)
