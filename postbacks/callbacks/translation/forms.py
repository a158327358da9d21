"""How each vendor writes a placeholder in a URL, and what stands inside it."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Placeholder:
    """This is one placeholder of a pasted URL.

    `names` are tried one after the other; `default` is what stands for a missing value, None if
    nothing does; `words` is what is sent for true and false where the placeholder asks a question.
    """

    start: int
    end: int
    text: str
    names: tuple[str, ...]
    default: str | None = None
    words: tuple[str, str] | None = None
    changes: str = ""  # functions that the vendor applies to the value


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

# What networks fill in when an ad is clicked: it has no place in a callback.
NETWORKS: Final = re.compile(r"__[A-Z][A-Z0-9_]{1,60}__")


def _double(url: str) -> Iterator[Placeholder]:
    for found in _DOUBLE.finditer(url):
        yield Placeholder(found.start(), found.end(), found[0], (found[1],))


def _single(url: str) -> Iterator[Placeholder]:
    """Adjust, Singular and Kochava; `{a||b}` is the first that has a value."""
    for found in _SINGLE.finditer(url):
        names = tuple(name.strip() for name in found[1].split("||"))
        yield Placeholder(found.start(), found.end(), found[0], names)


def _single_and_double(url: str) -> Iterator[Placeholder]:
    """Singular also has `{{name}}` for values that are entered at set-up."""
    yield from sorted((*_single(url), *_double(url)), key=lambda it: it.start)


def _round(url: str) -> Iterator[Placeholder]:
    for found in _ROUND.finditer(url):
        yield Placeholder(found.start(), found.end(), found[0], (found[1],))


def _freemarker(url: str) -> Iterator[Placeholder]:
    found = [*_values(url), *_questions(url)]
    taken = [(it.start, it.end) for it in found]
    found += [
        Placeholder(it.start(), it.end(), it[0], (it[0],))
        for it in _OTHER_FREEMARKER.finditer(url)
        if not any(start <= it.start() < end for start, end in taken)
    ]
    yield from sorted(found, key=lambda it: it.start)


def _values(url: str) -> Iterator[Placeholder]:
    for found in _FREEMARKER.finditer(url):
        default = found["double"] if found["double"] is not None else found["single"]
        changes = found["changes"] + found["after"]
        yield Placeholder(
            found.start(), found.end(), found[0], (found[1],), default or None, changes=changes
        )


def _questions(url: str) -> Iterator[Placeholder]:
    for found in _QUESTION.finditer(url):
        words = (found[2], found[3])
        yield Placeholder(found.start(), found.end(), found[0], (found[1],), words=words)


FORMS: Final[Mapping[str, Callable[[str], Iterator[Placeholder]]]] = {
    "adjust": _single,
    "appsflyer": _round,
    "branch": _freemarker,
    "kochava": _single,
    "singular": _single_and_double,
    "tenjin": _double,
}
