"""From a pasted URL to a template of ours, with what was translated and what could not be."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from postbacks.callbacks.macros import RequestTemplate, TemplateError, compile_request
from postbacks.callbacks.macros.vendors import VENDORS
from postbacks.callbacks.translation.detecting import AUTO, Certainty, detect
from postbacks.callbacks.translation.forms import FORMS, NETWORKS
from postbacks.callbacks.translation.naming import Nothing, expression_for, unknown_names

LONGEST_URL: Final = 8_192

_ENCODED_BRACES: Final = re.compile(r"%7[BbDdCc]")
# Adjust carries callbacks inside click URLs, each encoded once.
_CARRIED: Final = re.compile(
    r"[?&](?:adj_)?((?:\w+_callback(?:_\w+)?)|rejected_\w+)=(https?%3[Aa]%2[Ff]%2[Ff][^&\s]+)"
)
_FOR_NETWORKS: Final = "An ad network fills it in when its ad is clicked, so never in a callback."


@dataclass(frozen=True, slots=True)
class Translated:
    """This is a placeholder of theirs and the macro that it became."""

    theirs: str
    ours: str


@dataclass(frozen=True, slots=True)
class Untranslated:
    """This is a placeholder that was taken out, and why."""

    theirs: str
    why: str


@dataclass(frozen=True, slots=True)
class Translation:
    """This is a URL of ours. `vendor` is "" where nothing in the URL was a placeholder."""

    url: str
    vendor: str
    certainty: Certainty
    translated: tuple[Translated, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def vendor_name(self) -> str:
        """This is the vendor's name for people."""
        return VENDORS[self.vendor].name if self.vendor else ""


@dataclass(slots=True)
class _Draft:
    url: str
    vendor: str = ""  # known by what stood around the callback
    translated: list[Translated] = field(default_factory=list)
    untranslated: list[Untranslated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(url: str, vendor: str = AUTO) -> Translation:
    """This translates a callback URL that was written for another vendor.

    A placeholder without a counterpart is taken out, so that it is never sent as it stands. Raises
    ValueError for an unknown vendor or a text that is too long.
    """
    if vendor != AUTO and vendor not in VENDORS:
        raise ValueError(f"{vendor} is not one of {', '.join([*VENDORS, AUTO])}.")
    if len(url) > LONGEST_URL:
        raise ValueError(f"A URL has at most {LONGEST_URL} characters.")
    draft = _Draft(url.strip())
    _unwrap(draft)
    found = _vendor(draft, vendor)
    if found is not None:
        _replace(draft, found[0])
    _take_out_networks(draft)
    _remark(draft, found is not None)
    key, certainty = found or ("", Certainty.GUESS)
    return Translation(
        draft.url,
        key,
        certainty,
        tuple(dict.fromkeys(draft.translated)),
        tuple(dict.fromkeys(draft.untranslated)),
        tuple(draft.notes),
    )


def _vendor(draft: _Draft, asked: str) -> tuple[str, Certainty] | None:
    if asked != AUTO:
        return asked, Certainty.GIVEN
    return (draft.vendor, Certainty.CERTAIN) if draft.vendor else detect(draft.url)


def _unwrap(draft: _Draft) -> None:
    """This takes the callback out of what stands around it."""
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
    draft.url = _ENCODED_BRACES.sub(lambda it: unquote(it[0]), draft.url)


def _replace(draft: _Draft, vendor: str) -> None:
    pieces, end = [], 0
    for placeholder in FORMS[vendor](draft.url):
        pieces.append(draft.url[end : placeholder.start])
        end = placeholder.end
        found = expression_for(vendor, placeholder)
        if isinstance(found, Nothing):
            draft.untranslated.append(Untranslated(placeholder.text, found.why))
            continue
        ours = f"{{{{{found}}}}}"
        pieces.append(ours)
        draft.translated.append(Translated(placeholder.text, ours))
        draft.untranslated += [
            Untranslated(f"{name} in {placeholder.text}", why)
            for name, why in unknown_names(vendor, placeholder)
        ]
    draft.url = "".join([*pieces, draft.url[end:]])


def _take_out_networks(draft: _Draft) -> None:
    for theirs in dict.fromkeys(NETWORKS.findall(draft.url)):
        draft.untranslated.append(Untranslated(theirs, _FOR_NETWORKS))
    draft.url = NETWORKS.sub("", draft.url)


def _remark(draft: _Draft, has_placeholders: bool) -> None:
    if not has_placeholders:
        draft.notes.append("No placeholder of any vendor was found in it.")
    if any(it.ours.startswith("{{click.") for it in draft.translated):
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
