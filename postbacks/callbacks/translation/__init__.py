"""④ Translates callback URLs that were written for other vendors. Plain Python.

`postbacks.callbacks.macros.vendors` has each vendor's names of macros; this package reads their
placeholders and turns a pasted URL into one of ours.
"""

from postbacks.callbacks.macros.url import LONGEST_URL
from postbacks.callbacks.translation.pasted import Pasted, read_rule_url
from postbacks.callbacks.translation.translating import (
    AUTO,
    CHOICES,
    TOOLS,
    Certainty,
    Translated,
    Translation,
    Untranslated,
    translate,
)

__all__ = [
    "AUTO",
    "CHOICES",
    "LONGEST_URL",
    "TOOLS",
    "Certainty",
    "Pasted",
    "Translated",
    "Translation",
    "Untranslated",
    "read_rule_url",
    "translate",
]
