"""Reads each vendor's placeholders in a URL."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One placeholder of a pasted URL.

    `names` are tried in order; `default` replaces a missing value, if not None; `words` are sent
    for true and false, if the placeholder is a condition; `changes` are functions that the vendor
    applies to the value.
    """

    start: int
    end: int
    text: str
    names: tuple[str, ...]
    default: str | None = None
    words: tuple[str, str] | None = None
    changes: str = ""


_DOUBLE: Final = re.compile(r"\{\{\s*([^{}]{1,200}?)\s*\}\}")
_SINGLE: Final = re.compile(r"(?<![{$])\{([^{}]{1,200})\}(?!\})")
_ROUND: Final = re.compile(r"\(([A-Za-z][\w-]{0,80})\)")
_NAME: Final = r"[\w.~+$@\[\]-]{1,120}"
_FREEMARKER: Final = re.compile(
    rf"\$\{{\s*\(?\s*({_NAME})\s*\)?\s*"
    r"(?P<changes>(?:\?[\w.]+(?:\([^(){}]{0,80}\))?)*)"
    r"(?:!\s*(?:\"(?P<double>[^\"{}]*)\"|'(?P<single>[^'{}]*)')?)?"
    r"(?P<after>(?:\?[\w.]+(?:\([^(){}]{0,80}\))?)*)\s*\}"
)
_QUESTION: Final = re.compile(
    rf"<#if\s+\(?\s*({_NAME})\s*\)?\s*>\s*([^<>]{{0,40}}?)\s*<#else>\s*([^<>]{{0,40}}?)\s*</#if>"
)
_OTHER_FREEMARKER: Final = re.compile(r"\$\{[^{}]{0,300}\}|</?#[^<>]{0,300}>")

_WORD: Final = r"[A-Za-z_][\w.-]{0,80}"
_ANY: Final = re.compile(
    r"\{\{\s*(?P<double>[^{}]{1,200}?)\s*\}\}|\$?\{(?P<single>[^{}]{1,200})\}"
    rf"|\[\[?(?P<square>{_WORD})\]\]?|\((?P<round>{_WORD})\)|##?(?P<hash>{_WORD})##?"
    rf"|%%?(?P<percent>[A-Za-z_]\w{{2,80}})%%?|<(?P<angle>{_WORD})>"
)

# Networks fill these in when an ad is clicked: they make no sense in a callback.
NETWORKS: Final = re.compile(r"__[A-Z][A-Z0-9_]{1,60}__")
FOR_NETWORKS: Final = "An ad network fills it in when its ad is clicked, never in a callback."


def _double(url: str) -> Iterator[Placeholder]:
    for match in _DOUBLE.finditer(url):
        yield Placeholder(match.start(), match.end(), match[0], (match[1],))


def _single(url: str) -> Iterator[Placeholder]:
    """Adjust, Singular and Kochava; `{a||b}` is the first that has a value."""
    for match in _SINGLE.finditer(url):
        names = tuple(name.strip() for name in match[1].split("||"))
        yield Placeholder(match.start(), match.end(), match[0], names)


def _single_and_double(url: str) -> Iterator[Placeholder]:
    """Singular also has `{{name}}` for values that are entered at set-up."""
    yield from sorted((*_single(url), *_double(url)), key=lambda placeholder: placeholder.start)


def _round(url: str) -> Iterator[Placeholder]:
    for match in _ROUND.finditer(url):
        yield Placeholder(match.start(), match.end(), match[0], (match[1],))


def _freemarker(url: str) -> Iterator[Placeholder]:
    placeholders = [*_values(url), *_questions(url)]
    spans = [(placeholder.start, placeholder.end) for placeholder in placeholders]
    placeholders += [
        Placeholder(match.start(), match.end(), match[0], (match[0],))
        for match in _OTHER_FREEMARKER.finditer(url)
        if not any(start <= match.start() < end for start, end in spans)
    ]
    yield from sorted(placeholders, key=lambda placeholder: placeholder.start)


def _values(url: str) -> Iterator[Placeholder]:
    for match in _FREEMARKER.finditer(url):
        default = match["double"] if match["double"] is not None else match["single"]
        changes = match["changes"] + match["after"]
        yield Placeholder(
            match.start(), match.end(), match[0], (match[1],), default or None, changes=changes
        )


def _questions(url: str) -> Iterator[Placeholder]:
    for match in _QUESTION.finditer(url):
        words = (match[2], match[3])
        yield Placeholder(match.start(), match.end(), match[0], (match[1],), words=words)


def _any_form(url: str) -> Iterator[Placeholder]:
    """Read what many tools write: {name}, ${name}, {{name}}, [name], (name), #name#, %name%."""
    for match in _ANY.finditer(url):
        name = match[str(match.lastgroup)]
        yield Placeholder(
            match.start(), match.end(), match[0], tuple(part.strip() for part in name.split("||"))
        )


FORMS: Final[Mapping[str, Callable[[str], Iterator[Placeholder]]]] = {
    "adjust": _single,
    "affise": _single,
    "appsflyer": _round,
    "binom": _single,
    "branch": _freemarker,
    "everflow": _single,
    "generic": _any_form,
    "keitaro": _single,
    "kochava": _single,
    "redtrack": _single,
    "singular": _single_and_double,
    "tenjin": _double,
    "trackier": _single,
    "tune": _single,
    "voluum": _single,
}
