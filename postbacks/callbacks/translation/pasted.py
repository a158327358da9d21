"""Reads URLs from pasted text as they were meant, and says what was done.

Text comes out of mails, chats, documents, HTML and JSON: with a label or a number before it, in
quotes, broken over lines, with &amp; for & and with encoded braces.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from typing import Final
from urllib.parse import unquote

from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.macros.url import LONGEST_URL

_MOST_URLS: Final = 20
_LONGEST: Final = 2 * LONGEST_URL  # encoded; a longer text is no rule's address, and stays as is
_ENCODED_AT_MOST: Final = 3  # times
_WRAPPED_LINE: Final = 60  # characters from which on a line end is probably no end

# Nobody sees them. Joiners are left in words of other scripts, which need them.
_INVISIBLE: Final = re.compile(
    "[\u00ad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]"
    "|(?<=[\x00-\x7f])[\u200c\u200d]|^[\u200c\u200d]"
)
_SPACES: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_ENTITY: Final = re.compile(
    r"&(amp|quot|apos|lt|gt|lbrace|rbrace|lcub|rcub|#x?[0-9a-f]{2,4});", re.I | re.ASCII
)
_ENTITIES: Final = {
    "amp": "&",
    "quot": '"',
    "apos": "'",
    "lt": "<",
    "gt": ">",
    "lbrace": "{",
    "rbrace": "}",
    "lcub": "{",
    "rcub": "}",
}
_JSON_ESCAPE: Final = re.compile(r"\\(?:u00(26|3d|3D|3c|3C|3e|3E|7b|7B|7d|7D)|(/))")

# A URL begins where no other can go on: an address inside a query follows "=".
_BEGINNING: Final = re.compile(
    r"(?<![\w=/&%?.+~-])(?:https?://|https?%(?:25){0,2}3A%(?:25){0,2}2F%(?:25){0,2}2F)",
    re.I | re.ASCII,
)
_WITHOUT_SCHEME: Final = re.compile(
    r"(?:^|(?<=[\s\"'`<(:]))(?:[a-z0-9](?:[a-z0-9-]{0,62})\.){1,8}[a-z]{2,24}(?::\d{1,5})?[/?]",
    re.I,
)
# A placeholder may hold spaces; everything else ends at one.
_ATOM: Final = re.compile(
    r"\{\{[^{}]{0,200}\}\}|\$?\{[^{}]{0,300}\}|</?#[^<>]{0,300}>|\s+|.", re.DOTALL
)
_QUOTES: Final = {
    '"': '"',
    "'": "'",
    "`": "`",
    "<": ">",
    "(": ")",
    "[": "]",
    "\u201c": "\u201d",
    "\u201e": "\u201c\u201d",
    "\u2018": "\u2019",
    "\u00ab": "\u00bb",
}
_CLOSING: Final = frozenset("\"'`>)]\u201c\u201d\u2019\u00bb")
_PUNCTUATION: Final = ".,;!:"
_LINE: Final = re.compile("[^\n\r\v\f\x1c-\x1e\x85\u2028\u2029]*")  # as splitlines() reads it
_GOES_ON: Final = re.compile(r"[&?=/%{}#+~_-]")
_ENDS_OPEN: Final = re.compile(r"[&?=/%{_-]$")
_HAS_PARTS: Final = re.compile(r"[=&?{%]")

_QUOTE_MARK: Final = re.compile(r"^[ \t]*>+[ \t]?", re.MULTILINE)
_FULL_WIDTH: Final = {0xFF00 + ord(sign) - 0x20: sign for sign in "&=?{}%/:"}
# "1.https://…", "-https://…" and "URL=https://…" at the beginning of a line.
_STUCK_LABEL: Final = re.compile(
    r"^([ \t]*(?:\d{1,2}[.):]|[-*\u2022\u2013]|[A-Za-z][\w \t-]{0,60}[=:]))(?=https?(?:://|%))",
    re.MULTILINE | re.IGNORECASE,
)
_STARTS_WITH_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://", re.I)
_OWN_MACRO: Final = re.compile(
    r"(?:%(?:25){0,2}7B){2}[^&#\s{}]{1,300}?(?:%(?:25){0,2}7D){2}", re.IGNORECASE
)
_BRACES: Final = re.compile(
    r"(?:%(?:25){0,2}24)?(?:%(?:25){0,2}7B){1,2}[^&#\s{}]{1,300}?(?:%(?:25){0,2}7D){1,2}", re.I
)
_OTHERS: Final = re.compile(
    r"(?<=[=/])(?:%(?:25){0,2}(?:28|5B|23|25|3C)){1,2}[A-Za-z_](?:[\w-]|%(?:25){0,2}2D){0,80}"
    r"(?:%(?:25){0,2}(?:29|5D|23|25|3E)){1,2}(?=[&/#]|$)",
    re.I,
)


_DECODED: Final = "Percent-encoded placeholders were decoded."
_Changes = tuple[tuple[Callable[[str], str], str], ...]


@dataclass(frozen=True, slots=True)
class Pasted:
    """The URLs of a pasted text, the text itself where it has none, and what was done to it."""

    urls: tuple[str, ...]
    notes: tuple[str, ...]


def read_pasted(text: str) -> Pasted:
    """Return the URLs that a text was meant to hold."""
    notes: dict[str, None] = {}
    text = _changed(text, _CHANGES, notes)
    if not _BEGINNING.search(text) and (bare := _WITHOUT_SCHEME.search(text)):
        text = f"{text[: bare.start()]}https://{text[bare.start() :]}"
        notes["The address had no https:// before it: that was added."] = None
    urls = list(islice(_urls(text, notes), _MOST_URLS)) or [_decoded_whole(text, notes)]
    return Pasted(tuple(urls), tuple(notes))


def read_rule_url(text: str) -> Pasted:
    """Return the one URL that the text of a rule's address was meant to hold.

    What a rule could have had all along is left as it stands; a text that would be refused is read
    like any pasted one, unless it is far too long for an address.
    """
    if len(text) > _LONGEST:
        return Pasted((text,), ())
    notes: dict[str, None] = {}
    text = _changed(text.strip(), _CHANGES_OF_RULES, notes)
    if "\n" in text or "\r" in text or not _STARTS_WITH_SCHEME.match(text):
        pasted = list(_urls(_changed(text, _CHANGES, notes), notes))
        text = pasted[0] if len(pasted) == 1 else text
    decoded = _OWN_MACRO.sub(_own_macro, text)
    if decoded != text:
        notes[_DECODED] = None
    return Pasted((decoded,), tuple(notes))


def encoded_placeholders(url: str) -> Iterator[tuple[int, int, str]]:
    """Yield the start and end of each percent-encoded placeholder, and what it was meant to be."""
    for pattern in (_BRACES, _OTHERS):
        for match in pattern.finditer(url):
            yield match.start(), match.end(), _decoded(match)


def _changed(text: str, changes: _Changes, notes: dict[str, None]) -> str:
    for change, note in changes:
        changed = change(text)
        if changed != text:
            notes[note] = None
        text = changed
    return text


def _own_macro(match: re.Match[str]) -> str:
    """Decode a macro of ours; anything else stays as it is."""
    decoded = _decoded(match)
    calls = list(macros_in(decoded))
    is_ours = len(calls) == 1 and isinstance(calls[0], MacroCall) and calls[0].end == len(decoded)
    return decoded if is_ours else match[0]


def decode_placeholders(url: str) -> str:
    """Return a URL whose placeholders are no longer percent-encoded, however often they were."""
    return _OTHERS.sub(_decoded, _BRACES.sub(_decoded, url))


def _without_invisible(text: str) -> str:
    return _INVISIBLE.sub("", text)


def _without_quote_marks(text: str) -> str:
    """Remove the > with which mails quote each line; a lone < > pair is no such mark."""
    lines = [line for line in text.splitlines() if line.strip()]
    is_quoted = bool(lines) and all(line.lstrip().startswith(">") for line in lines)
    return _QUOTE_MARK.sub("", text) if is_quoted else text


def _with_plain_width(text: str) -> str:
    return text.translate(_FULL_WIDTH)


def _with_plain_spaces(text: str) -> str:
    return _SPACES.sub(" ", text)


def _without_entities(text: str) -> str:
    for _ in range(_ENCODED_AT_MOST):
        text = _ENTITY.sub(lambda match: _character(match[1].lower()) or match[0], text)
    return text


def _character(name: str) -> str | None:
    if not name.startswith("#"):
        return _ENTITIES.get(name)
    code = name[1:]
    number = int(code[1:], 16) if code.startswith("x") else int(code) if code.isdigit() else 0
    return chr(number) if chr(number) in "&\"'<>{}=/:?" else None


def _without_json_escapes(text: str) -> str:
    return _JSON_ESCAPE.sub(lambda m: m[2] or chr(int(m[1], 16)), text)


_CHANGES_OF_RULES: Final[_Changes] = (
    (_without_invisible, "Invisible characters were removed."),
    (_without_entities, "&amp; and the like, which HTML writes, were read as the characters."),
)
_CHANGES: Final[_Changes] = (
    (str.strip, "Spaces around it were removed."),
    (_without_quote_marks, "The marks of a quoted mail were removed."),
    (_with_plain_spaces, "Spaces from a document were read as plain ones."),
    (_with_plain_width, "Full-width characters were read as plain ones."),
    *_CHANGES_OF_RULES,
    (_without_json_escapes, "The escapes of JSON were read as the characters."),
)


def _urls(text: str, notes: dict[str, None]) -> Iterator[str]:
    text = _STUCK_LABEL.sub(r"\1 ", text)
    starts = [match.start() for match in _BEGINNING.finditer(text)]
    rest = 0
    for start, following in pairwise([*starts, len(text)]):
        if text[rest:start].strip(" \t\r\n\"'`<([\u201c\u201e\u2018\u00ab"):
            notes["The text around the address was left out."] = None
        elif text[rest:start].strip():
            notes["Quotes around it were removed."] = None
        closing = _QUOTES.get(text[start - 1 : start], "")
        url, end = _url_at(text[start:following], closing, notes)
        rest = start + end
        yield _decoded_whole(url, notes)
    if starts and text[rest:].strip().strip("".join(_CLOSING) + _PUNCTUATION).strip():
        notes["The text around the address was left out."] = None


def _url_at(text: str, closing: str, notes: dict[str, None]) -> tuple[str, int]:
    """Return the URL with which a text begins, and where it ends."""
    pieces: list[str] = []
    end = line = 0
    for atom in _ATOM.finditer(text):
        if atom[0] in closing and (len(atom[0]) == 1 and _is_end(text, atom.end())):
            break
        if atom[0].isspace():
            if not _continues("".join(pieces[line:]), atom[0], _first_line(text, atom.end())):
                break
            if "\n" in atom[0] or "\r" in atom[0]:
                notes["Line breaks inside it were removed."] = None
                line = len(pieces)
            else:
                pieces.append(atom[0])
        else:
            pieces.append(atom[0])
        end = atom.end()
    return _trimmed("".join(pieces)), end


def _is_end(text: str, position: int) -> bool:
    following = text[position : position + 1]
    return not following or following.isspace() or following in _CLOSING or following in ",;.)"


def _first_line(text: str, start: int) -> str:
    return _LINE.match(text, start)[0]  # type: ignore[index]  # it matches nothing, too


def _continues(line: str, space: str, first_line: str) -> bool:
    """Tell whether a URL goes on after a space or line break inside it."""
    token = first_line.split(" ")[0]
    if "\n" not in space and "\r" not in space:
        return _HAS_PARTS.search(first_line) is not None and "://" not in first_line
    if not token or re.match(r"(?:\d{1,2}[.):]|[-*\u2022])(?:\s|$)", first_line):
        return False
    if first_line.rstrip().endswith(":"):
        return False  # the label of what follows
    if _GOES_ON.match(token) or _ENDS_OPEN.search(line):
        return True
    is_piece = " " not in first_line.strip()
    return is_piece and (_HAS_PARTS.search(token) is not None or len(line) >= _WRAPPED_LINE)


def _trimmed(url: str) -> str:
    """Return a URL without the punctuation and closing brackets of the text around it."""
    pairs = {")": "(", "]": "[", "}": "{", ">": "<"}
    url = url.rstrip()
    while url and (
        url[-1] in _PUNCTUATION
        or url[-1] in "`\u201d\u2019\u00bb"
        or (url[-1] in "\"'" and url.count(url[-1]) % 2)
        or (url[-1] in pairs and url.count(pairs[url[-1]]) < url.count(url[-1]))
    ):
        url = url[:-1]
    return url


def _decoded_whole(url: str, notes: dict[str, None]) -> str:
    """Decode a URL that is percent-encoded throughout, and encoded placeholders."""
    for _ in range(_ENCODED_AT_MOST):
        if not re.match(r"https?%(?:25)*3A", url, re.I):
            break
        url = _without_entities(unquote(url))
        notes["The address was percent-encoded as a whole and was decoded."] = None
    decoded = decode_placeholders(url)
    if decoded != url:
        notes[_DECODED] = None
    return decoded


def _decoded(match: re.Match[str]) -> str:
    text = match[0]
    for _ in range(_ENCODED_AT_MOST):
        text = unquote(text)
    return text
