"""Reads a tracking link's query into what it means, however long or broken it is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_plus

from postbacks.intake.links import vocabulary
from postbacks.values import identifiers

MOST_PARAMETERS: Final = 100
LONGEST_QUERY: Final = 8_192
LONGEST_NAME: Final = 64
LONGEST_VALUE: Final = 2_048
_NO_DASHES: Final = re.compile(r"[0-9a-fA-F]{32}")
_YES: Final = {"1", "true", "yes"}
_NO: Final = {"0", "false", "no"}


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """What stands in a link: every parameter as it came, and those with a meaning by our names."""

    raw: Mapping[str, str]
    known: Mapping[str, str]

    def get(self, name: str, *, most: int = LONGEST_VALUE) -> str:
        """Return what we call `name`, no longer than its column; empty where it was not sent."""
        return self.known.get(name, "")[:most]

    @property
    def from_server(self) -> bool:
        """Tell whether a network's server calls, who wants no redirect."""
        plain = {vocabulary.plain_name(n): v.strip().lower() for n, v in self.raw.items()}
        return (
            plain.get("redirect") in _NO
            or plain.get("s2s") in _YES
            or plain.get("noredirect") in _YES
        )

    @property
    def all(self) -> dict[str, str]:
        """Return every parameter, and ours beside them: what `{{click.name}}` reads."""
        return {**self.raw, **self.known}

    def names(self) -> frozenset[str]:
        """Return the names by which an install may be recognized, without its address."""
        return frozenset(_names(self))


def read_query(query: str) -> LinkParameters:
    """Read a query string; what is over the bounds is left out, what is broken is mended."""
    return read_parameters(dict(_pairs(query)))


def read_parameters(raw: Mapping[str, str]) -> LinkParameters:
    """Read parameters that were decoded already."""
    return LinkParameters(raw, vocabulary.canonical(raw))


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    """Yield the parameters, the first of each name; a value that is cut off is not one."""
    whole = query if len(query) <= LONGEST_QUERY else query[:LONGEST_QUERY].rpartition("&")[0]
    seen: set[str] = set()
    for part in whole.split("&", MOST_PARAMETERS)[:MOST_PARAMETERS]:
        name, _, value = part.partition("=")
        name = _text(name)
        if name and name not in seen and len(name) <= LONGEST_NAME:
            seen.add(name)
            yield name, _text(value)[:LONGEST_VALUE]


def _text(encoded: str) -> str:
    """Decode; what is no UTF-8 becomes U+FFFD, and NUL, which PostgreSQL can't hold, goes."""
    return clean(unquote_plus(encoded, errors="replace"))


def clean(text: str) -> str:
    """Return a text that PostgreSQL can hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _names(read: LinkParameters) -> Iterator[str]:
    if click_id := read.known.get("click_id"):
        yield identifiers.identifier(identifiers.CLICK_ID, click_id)
    ids = {kind: read.known[kind] for kind in vocabulary.ID_KINDS if kind in read.known}
    yield from identifiers.identifiers_of({kind: _dashed(value) for kind, value in ids.items()})
    hashed = [value for _, value in vocabulary.hashes(read.raw)]
    # Networks put a hash where the id belongs, too.
    for value in (*ids.values(), *hashed):
        if (name := identifiers.hash_identifier(value)) and not identifiers.is_no_id(value):
            yield name


def _dashed(value: str) -> str:
    """Write an id that lost its dashes as devices write it."""
    if not _NO_DASHES.fullmatch(value):
        return value
    return "-".join((value[:8], value[8:12], value[12:16], value[16:20], value[20:]))
