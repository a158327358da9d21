"""Which vendor a URL was written for, and how sure that is."""

from enum import StrEnum
from typing import Final

from postbacks.callbacks.translation.forms import FORMS
from postbacks.callbacks.translation.naming import is_known

AUTO: Final = "auto"
_BRACES: Final = ("adjust", "singular", "kochava")


class Certainty(StrEnum):
    """This is how sure the vendor is. `given`: a person said so."""

    GIVEN = "given"
    CERTAIN = "certain"
    LIKELY = "likely"
    GUESS = "guess"


def detect(url: str) -> tuple[str, Certainty] | None:
    """This is the vendor of a URL; None if nothing in it is a placeholder of any of them."""
    if any(FORMS["branch"](url)):
        return "branch", Certainty.CERTAIN
    if any(FORMS["adjust"](url)):
        return _among_braces(url)
    if any(FORMS["tenjin"](url)):
        return "tenjin", Certainty.CERTAIN
    if any(FORMS["appsflyer"](url)):
        return "appsflyer", Certainty.CERTAIN
    return None


def _among_braces(url: str) -> tuple[str, Certainty]:
    """Adjust, Singular and Kochava all write {name}: the names decide."""
    known = {vendor: _known(vendor, url) for vendor in _BRACES}
    best = max(_BRACES, key=lambda vendor: known[vendor])  # the first of equals
    others = max(known[vendor] for vendor in _BRACES if vendor != best)
    if known[best] == others:
        return best, Certainty.GUESS
    return best, Certainty.CERTAIN if not others else Certainty.LIKELY


def _known(vendor: str, url: str) -> int:
    return sum(is_known(vendor, name) for it in FORMS[vendor](url) for name in it.names)
