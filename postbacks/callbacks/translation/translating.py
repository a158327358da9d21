"""④ Translates a pasted URL, and reports what was and what could not be translated."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final
from urllib.parse import unquote

from postbacks.callbacks.macros import RequestTemplate, TemplateError, compile_request
from postbacks.callbacks.macros.url import LONGEST_URL
from postbacks.callbacks.macros.vendors import VENDORS
from postbacks.callbacks.translation.forms import FORMS, NETWORKS
from postbacks.callbacks.translation.naming import (
    NoCounterpart,
    expression_for,
    is_known,
    unknown_names,
)

AUTO: Final = "auto"

_BRACES: Final = ("adjust", "singular", "kochava")

_ENCODED_BRACES: Final = re.compile(r"%7[BbDdCc]")
# Adjust carries callbacks inside click URLs, each encoded once.
_CARRIED: Final = re.compile(
    r"[?&](?:adj_)?((?:\w+_callback(?:_\w+)?)|rejected_\w+)=(https?%3[Aa]%2[Ff]%2[Ff][^&\s]+)"
)
_FOR_NETWORKS: Final = "An ad network fills it in when its ad is clicked, so never in a callback."


class Certainty(StrEnum):
    """How sure the vendor is. `given`: a person chose it."""

    GIVEN = "given"
    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


@dataclass(frozen=True, slots=True)
class Translated:
    """A vendor's placeholder, and the macro that replaced it."""

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class Untranslated:
    """A placeholder that was removed, and why."""

    theirs: str
    why: str


@dataclass(frozen=True, slots=True)
class Translation:
    """A translated URL. `vendor` is "" if the URL had no placeholders."""

    url: str
    vendor: str
    certainty: Certainty
    translated: tuple[Translated, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def vendor_name(self) -> str:
        return VENDORS[self.vendor].name if self.vendor else ""


@dataclass(slots=True)
class _Draft:
    url: str
    vendor: str = ""  # known from the URL around the callback
    translated: list[Translated] = field(default_factory=list)
    untranslated: list[Untranslated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(url: str, vendor: str = AUTO) -> Translation:
    """Translate a callback URL that was written for another vendor.

    A placeholder without a counterpart is removed, so that it is never sent as it stands. Raises
    ValueError for an unknown vendor or a text that is too long.
    """
    if vendor != AUTO and vendor not in VENDORS:
        raise ValueError(f"{vendor} is not one of {', '.join([*VENDORS, AUTO])}.")
    if len(url) > LONGEST_URL:
        raise ValueError(f"A URL has at most {LONGEST_URL} characters.")
    draft = _Draft(url.strip())
    _unwrap(draft)
    detected = _vendor(draft, vendor)
    if detected is not None:
        _replace(draft, detected[0])
    _remove_networks(draft)
    _add_notes(draft, has_placeholders=detected is not None)
    key, certainty = detected or ("", Certainty.GUESS)
    return Translation(
        draft.url,
        key,
        certainty,
        tuple(dict.fromkeys(draft.translated)),
        tuple(dict.fromkeys(draft.untranslated)),
        tuple(draft.notes),
    )


def detect(url: str) -> tuple[str, Certainty] | None:
    """Return a URL's vendor and how sure that is; None if it has no placeholders."""
    if any(FORMS["branch"](url)):
        return "branch", Certainty.CERTAIN
    if any(FORMS["adjust"](url)):
        return _among_braces(url)
    if any(FORMS["tenjin"](url)):
        return "tenjin", Certainty.CERTAIN
    if any(FORMS["appsflyer"](url)):
        return "appsflyer", Certainty.CERTAIN
    return None


def _vendor(draft: _Draft, chosen: str) -> tuple[str, Certainty] | None:
    if chosen != AUTO:
        return chosen, Certainty.GIVEN
    return (draft.vendor, Certainty.CERTAIN) if draft.vendor else detect(draft.url)


def _unwrap(draft: _Draft) -> None:
    """Extract the callback from the URL or text around it."""
    if carried := _CARRIED.search(draft.url):
        draft.notes.append(
            f"This is a click URL: its {carried[1]} was translated, and the rest left out."
        )
        draft.url = unquote(carried[2])
        draft.vendor = "adjust"
    first, *more = draft.url.split() or [""]
    if any(text.startswith(("http://", "https://")) for text in more):
        draft.notes.append("Only the first of several URLs was translated.")
        draft.url = first
    if re.match(r"https?%3[Aa]", draft.url):
        draft.url = unquote(draft.url)
    draft.url = _ENCODED_BRACES.sub(lambda match: unquote(match[0]), draft.url)


def _replace(draft: _Draft, vendor: str) -> None:
    pieces, end = [], 0
    for placeholder in FORMS[vendor](draft.url):
        pieces.append(draft.url[end : placeholder.start])
        end = placeholder.end
        expression = expression_for(vendor, placeholder)
        if isinstance(expression, NoCounterpart):
            draft.untranslated.append(Untranslated(placeholder.text, expression.why))
            continue
        ours = f"{{{{{expression}}}}}"
        pieces.append(ours)
        draft.translated.append(Translated(placeholder.text, ours))
        draft.untranslated += [
            Untranslated(f"{name} in {placeholder.text}", why)
            for name, why in unknown_names(vendor, placeholder)
        ]
    draft.url = "".join([*pieces, draft.url[end:]])


def _remove_networks(draft: _Draft) -> None:
    for theirs in dict.fromkeys(NETWORKS.findall(draft.url)):
        draft.untranslated.append(Untranslated(theirs, _FOR_NETWORKS))
    draft.url = NETWORKS.sub("", draft.url)


def _add_notes(draft: _Draft, *, has_placeholders: bool) -> None:
    if not has_placeholders:
        draft.notes.append("No placeholder of any vendor was found in it.")
    if any(macro.ours.startswith("{{click.") for macro in draft.translated):
        draft.notes.append(
            "{{click.…}} is a parameter of the click URL: it has a value only if the tracking link "
            "carries that parameter."
        )
    if draft.url.lower().startswith("http://"):
        draft.notes.append("The address begins with http://: ask whether https:// works too.")
    try:
        compile_request(RequestTemplate(url=draft.url))
    except TemplateError as error:
        draft.notes += [problem.message for problem in error.problems]


def _among_braces(url: str) -> tuple[str, Certainty]:
    """Adjust, Singular and Kochava all write {name}: the names decide."""
    counts = {vendor: _count_known_names(vendor, url) for vendor in _BRACES}
    best = max(_BRACES, key=lambda vendor: counts[vendor])  # the first of equals
    others = max(counts[vendor] for vendor in _BRACES if vendor != best)
    if counts[best] == others:
        return best, Certainty.GUESS
    return best, Certainty.CERTAIN if not others else Certainty.LIKELY


def _count_known_names(vendor: str, url: str) -> int:
    return sum(
        is_known(vendor, name) for placeholder in FORMS[vendor](url) for name in placeholder.names
    )
