"""④ Translates a pasted URL, and reports what was and what could not be translated."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from postbacks.callbacks.macros import RequestTemplate, TemplateError, compile_request
from postbacks.callbacks.macros.url import LONGEST_URL
from postbacks.callbacks.macros.vendors import GENERIC, VENDORS
from postbacks.callbacks.translation.forms import FOR_NETWORKS, FORMS, NETWORKS, Placeholder
from postbacks.callbacks.translation.naming import (
    NoCounterpart,
    expression_for,
    is_anyones,
    is_known,
    is_own,
    unknown_names,
    vendor_of,
)
from postbacks.callbacks.translation.pasted import read_pasted

AUTO: Final = "auto"
TOOLS: Final = [*VENDORS, GENERIC.key]
CHOICES: Final = [*TOOLS, AUTO]

_IN_BRACES: Final = tuple(
    key for key, vendor in VENDORS.items() if (vendor.before, vendor.after) == ("{", "}")
)
# What a click is called, but for TUNE's and Everflow's {transaction_id}.
_CLICK_WORDS: Final = ("click_id", "click.")
_TRANSACTION: Final = "transaction_id"
_MOST_NAMED: Final = 5

# Adjust carries callbacks inside click URLs, encoded once or more.
_CARRIED: Final = re.compile(
    r"[?&](?:adj_)?((?:\w+_callback(?:_\w+)?)|rejected_\w+)"
    r"=(https?%(?:25){0,2}3[Aa]%(?:25){0,2}2[Ff]%(?:25){0,2}2[Ff][^&\s]+)"
)
_CLICK_ONLY: Final = re.compile(r"\{\{click\.[^|}]*(?:\|(?!\|)[^}]*)?\}\}")


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
    """A translated URL. `vendor` is "" if the URL had no placeholders.

    `notes` say what was done and what to look at; `others` are further URLs of the pasted text.
    """

    url: str
    vendor: str
    certainty: Certainty
    translated: tuple[Translated, ...] = ()
    untranslated: tuple[Untranslated, ...] = ()
    notes: tuple[str, ...] = ()
    others: tuple["Translation", ...] = ()

    @property
    def vendor_name(self) -> str:
        return vendor_of(self.vendor).name if self.vendor else ""

    @property
    def is_generic(self) -> bool:
        return self.vendor == GENERIC.key


@dataclass(slots=True)
class _Draft:
    url: str
    vendor: str = ""  # known from the URL around the callback
    translated: list[Translated] = field(default_factory=list)
    untranslated: list[Untranslated] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def translate(pasted: str, vendor: str = AUTO) -> Translation:
    """Translate a callback URL that was written for another vendor, out of a pasted text.

    A placeholder without a counterpart is removed, so that it is never sent as it stands. Raises
    ValueError for an unknown vendor or a text that is too long.
    """
    if vendor not in CHOICES:
        raise ValueError(f"{vendor} is not one of {', '.join(CHOICES)}.")
    if len(pasted) > LONGEST_URL:
        raise ValueError(f"A URL has at most {LONGEST_URL} characters.")
    read = read_pasted(pasted)
    first, *others = (_translated(url, vendor) for url in read.urls)
    notes = [*read.notes, *first.notes]
    if others:
        notes.insert(0, f"This is the first of {len(read.urls)} URLs; the others follow.")
    return replace(first, notes=tuple(notes), others=tuple(others))


def _translated(url: str, vendor: str) -> Translation:
    draft = _Draft(url)
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
    """Return a URL's vendor and how sure that is; None if it has no placeholders.

    What several tools write is nobody's: it is read with the words that they share.
    """
    if any(_is_freemarker(placeholder) for placeholder in FORMS["branch"](url)):
        return "branch", Certainty.CERTAIN
    if any(FORMS["adjust"](url)):
        return _among_braces(url)
    if any(FORMS["tenjin"](url)):
        return _of_one_form("tenjin", url)
    if any(FORMS["branch"](url)):
        return GENERIC.key, Certainty.GUESS
    if any(FORMS["appsflyer"](url)):
        return _of_one_form("appsflyer", url)
    if any(_is_shared(each, url) for each in FORMS[GENERIC.key](url)):
        return GENERIC.key, Certainty.GUESS
    return None


def _is_freemarker(placeholder: Placeholder) -> bool:
    """Tell whether only FreeMarker, which Branch has, could read a placeholder."""
    return (
        any(sign in placeholder.text for sign in ("!", "?", "#", "("))
        or placeholder.words is not None
        or any("." in name or is_known("branch", name) for name in placeholder.names)
    )


def _of_one_form(vendor: str, url: str) -> tuple[str, Certainty]:
    """Judge a URL in a form that one vendor of ours has: others may have it, too."""
    names = [name for placeholder in FORMS[vendor](url) for name in placeholder.names]
    own_names = sum(is_known(vendor, name) for name in names)
    if not own_names:
        return GENERIC.key, Certainty.GUESS
    return vendor, Certainty.CERTAIN if own_names == len(names) else Certainty.LIKELY


def _vendor(draft: _Draft, chosen: str) -> tuple[str, Certainty] | None:
    if chosen != AUTO:
        return chosen, Certainty.GIVEN
    return (draft.vendor, Certainty.CERTAIN) if draft.vendor else detect(draft.url)


def _unwrap(draft: _Draft) -> None:
    """Extract the callback from the click URL around it."""
    if carried := _CARRIED.search(draft.url):
        draft.notes.append(
            f"This is a click URL: its {carried[1]} was translated, and the rest left out."
        )
        (draft.url,) = read_pasted(carried[2]).urls
        draft.vendor = "adjust"


def _replace(draft: _Draft, vendor: str) -> None:
    pieces, end = [], 0
    shared: list[str] = []  # not the vendor's, and read as many tools mean them
    placeholders = list(_placeholders(vendor, draft.url))
    has_click = any(_is_click(vendor, placeholder) for placeholder in placeholders)
    for placeholder in placeholders:
        pieces.append(draft.url[end : placeholder.start])
        end = placeholder.end
        expression = expression_for(vendor, placeholder)
        if isinstance(expression, NoCounterpart):
            draft.untranslated.append(Untranslated(placeholder.text, expression.why))
            continue
        if placeholder.names == (_TRANSACTION,) and vendor == GENERIC.key and has_click:
            expression = _TRANSACTION
        ours = f"{{{{{expression}}}}}"
        pieces.append(ours)
        draft.translated.append(Translated(placeholder.text, ours))
        if not any(is_known(vendor, name) for name in placeholder.names):
            shared.append(placeholder.text)
        draft.untranslated += [
            Untranslated(f"{name} in {placeholder.text}", why)
            for name, why in unknown_names(vendor, placeholder)
        ]
    draft.url = "".join([*pieces, draft.url[end:]])
    if shared:
        names = ", ".join(dict.fromkeys(shared[:_MOST_NAMED]))
        draft.notes.append(
            f"{names}: not known as {vendor_of(vendor).name}'s, so read as many tools mean it."
        )


def _placeholders(vendor: str, url: str) -> Iterator[Placeholder]:
    """Yield the vendor's placeholders, and those of other forms that are surely some.

    Their names are those that many tools share, or the URL would go out with a macro in it.
    """
    placeholders = list(FORMS[vendor](url))
    if vendor == GENERIC.key:
        # Only braces are never plain text.
        placeholders = [p for p in placeholders if p.text[0] in "{$" or _is_surely_one(p, url)]
    else:
        covered = bytearray(len(url))
        for own in placeholders:
            covered[own.start : own.end] = b"\1" * (own.end - own.start)
        placeholders += [
            other
            for other in FORMS[GENERIC.key](url)
            if not any(covered[other.start : other.end]) and _is_surely_one(other, url)
        ]
    return iter(sorted(placeholders, key=lambda placeholder: placeholder.start))


def _is_shared(placeholder: Placeholder, url: str) -> bool:
    """Tell whether a placeholder has a word that many tools share, and is a value of its own."""
    return (_is_value(placeholder, url) or placeholder.text[0] in "{$") and any(
        is_known(GENERIC.key, name) for name in placeholder.names
    )


def _is_value(placeholder: Placeholder, url: str) -> bool:
    return url[placeholder.start - 1 : placeholder.start] in {"=", "/"} and (
        url[placeholder.end : placeholder.end + 1] in {"", "&", "/", "#"}
    )


def _is_surely_one(placeholder: Placeholder, url: str) -> bool:
    """Tell whether a text beside other placeholders is one, too, and not plain text: `(new)`."""
    if _is_shared(placeholder, url):
        return True
    is_doubled = placeholder.text[:2] in {"%%", "##", "[["}
    return (_is_value(placeholder, url) or placeholder.text[0] in "{$") and (
        is_doubled or any(map(is_anyones, placeholder.names))
    )


def _is_click(vendor: str, placeholder: Placeholder) -> bool:
    """Tell whether a placeholder names the click, and is not {transaction_id}."""
    expression = expression_for(vendor, placeholder)
    return (
        isinstance(expression, str)
        and expression.startswith(_CLICK_WORDS)
        and placeholder.names != (_TRANSACTION,)
    )


def _remove_networks(draft: _Draft) -> None:
    for theirs in dict.fromkeys(NETWORKS.findall(draft.url)):
        draft.untranslated.append(Untranslated(theirs, FOR_NETWORKS))
    draft.url = NETWORKS.sub("", draft.url)


def _add_notes(draft: _Draft, *, has_placeholders: bool) -> None:
    if not has_placeholders:
        draft.notes.append("It has no placeholder of any vendor.")
    if any(_CLICK_ONLY.fullmatch(macro.ours) for macro in draft.translated):
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
    """Judge a URL in braces, which many tools write, by the names that one vendor alone writes."""
    names = [name for placeholder in FORMS["adjust"](url) for name in placeholder.names]
    marks = {vendor: sum(is_own(vendor, name) for name in names) for vendor in _IN_BRACES}
    knowing = {vendor: sum(is_known(vendor, name) for name in names) for vendor in _IN_BRACES}
    best = max(_IN_BRACES, key=lambda vendor: (marks[vendor], knowing[vendor]))
    if not marks[best]:
        return GENERIC.key, Certainty.GUESS
    others = [vendor for vendor in _IN_BRACES if vendor != best]
    if any((marks[best], knowing[best]) == (marks[other], knowing[other]) for other in others):
        return GENERIC.key, Certainty.GUESS
    is_alone = not any(knowing[other] for other in others)
    return best, Certainty.CERTAIN if is_alone else Certainty.LIKELY
