"""Reads a tracking link's query, however long or broken it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import unquote_plus

from postbacks.intake.html_entities import holds_entity, without_entity
from postbacks.intake.links import vocabulary
from postbacks.intake.links.vocabulary import our_name
from postbacks.values import identifiers
from postbacks.values.identifiers import CLICK_ID
from postbacks.values.placeholders import is_placeholder, shortened, unfilled_macro

MAX_PARAMETERS: Final = 100
MAX_QUERY: Final = 8_192
MAX_NAME: Final = 64
MAX_VALUE: Final = 2_048
_YES: Final = {"1", "true", "yes"}
_NO: Final = {"0", "false", "no"}


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """A link's parameters: all as they were sent, and those with a meaning by our names."""

    raw: Mapping[str, str]
    by_our_name: Mapping[str, str]
    left_out: Mapping[str, str] = field(default_factory=dict)  # macros, words in place of ids
    too_long: Mapping[str, str] = field(default_factory=dict)  # click ids; cut they name nothing
    is_from_html: bool = False  # its &amp; were read as &

    def get(self, name: str, *, limit: int = MAX_VALUE) -> str:
        """Return the value by our name, cut to its column's length; empty if it was not sent."""
        return self.by_our_name.get(name, "")[:limit]

    @property
    def from_server(self) -> bool:
        """Tell whether a network's server calls, which wants no redirect."""
        flags = {vocabulary.normalize_name(n): v.strip().lower() for n, v in self.raw.items()}
        return (
            flags.get("redirect") in _NO
            or flags.get("s2s") in _YES
            or flags.get("noredirect") in _YES
        )

    @property
    def all(self) -> dict[str, str]:
        """Return every parameter, under its own name and under ours, for `{{click.name}}`."""
        sent = {name: text for name, text in self.raw.items() if name not in self.left_out}
        return {**sent, **self.by_our_name}

    def sent_name(self, ours: str) -> str:
        """Return the name under which a parameter came whose value counts as ours."""
        sent = {vocabulary.normalize_name(name): name for name in reversed([*self.raw])}
        for alias in vocabulary.CANONICAL[ours]:
            name = sent.get(alias)
            if name and self.raw[name] and not vocabulary.has_no_value(ours, self.raw[name]):
                return name
        return ours

    def identifiers(self) -> frozenset[str]:
        """Return the identifiers by which an install may be recognized, without its address."""
        return frozenset(_identifiers(self))


def read_query(query: str) -> LinkParameters:
    """Read a query string; parameters over the limits are dropped, broken encodings repaired."""
    parameters = read_parameters(dict(_pairs(query)))
    return replace(parameters, is_from_html=True) if holds_entity(query) else parameters


def read_parameters(raw: Mapping[str, str]) -> LinkParameters:
    """Return parameters with what they mean; what stands in place of a value is left out."""
    left_out = {name: text for name, text in raw.items() if _is_left_out(name, text)}
    too_long = {name: text for name, text in raw.items() if len(text) > MAX_VALUE}
    if too_long:
        raw = {name: text for name, text in raw.items() if name not in too_long}
        left_out |= {name: shortened(text) for name, text in too_long.items()}
    return LinkParameters(raw, vocabulary.by_our_names(raw), left_out, too_long)


def _is_left_out(name: str, text: str) -> bool:
    if not text or not is_placeholder(text):
        return False
    return bool(unfilled_macro(text)) or vocabulary.stands_for_id(name, text)


def _pairs(query: str) -> Iterator[tuple[str, str]]:
    """Yield the first parameter of each name; one that the length limit cuts off is dropped."""
    whole = query if len(query) <= MAX_QUERY else query[:MAX_QUERY].rpartition("&")[0]
    names: set[str] = set()
    for part in whole.split("&", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        name, _, value = part.partition("=")
        name = without_entity(_text(name))
        if name and name not in names and len(name) <= MAX_NAME:
            names.add(name)
            text = _text(value)
            yield name, text if our_name(name) == CLICK_ID else text[:MAX_VALUE]


def _text(encoded: str) -> str:
    """Decode; invalid UTF-8 becomes U+FFFD, and NUL, which PostgreSQL can't hold, is removed."""
    return clean(unquote_plus(encoded, errors="replace"))


def clean(text: str) -> str:
    """Return a text without NUL and lone surrogates, which PostgreSQL can't hold."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()


def _identifiers(parameters: LinkParameters) -> Iterator[str]:
    ours = parameters.by_our_name
    if click_id := ours.get("click_id"):
        yield identifiers.identifier(identifiers.CLICK_ID, click_id)
    ids = {kind: ours[kind] for kind in vocabulary.ID_KINDS if kind in ours}
    yield from identifiers.identifiers_of(ids)
    hashed = [value for _, value in vocabulary.hashed_ids(parameters.raw)]
    # Networks put a hash where the id belongs, too.
    for value in (*ids.values(), *hashed):
        if hashed_id := identifiers.hash_identifier(value):
            yield hashed_id
