"""④ Translates callback URLs that were written for other vendors. Plain Python.

What each vendor calls a macro stands in `postbacks.callbacks.macros.elsewhere`; here is how they
write it, and how a pasted URL becomes one of ours.
"""

from postbacks.callbacks.translation.detecting import AUTO, Certainty
from postbacks.callbacks.translation.translating import (
    LONGEST_URL,
    Translated,
    Translation,
    Untranslated,
    translate,
)

__all__ = [
    "AUTO",
    "LONGEST_URL",
    "Certainty",
    "Translated",
    "Translation",
    "Untranslated",
    "translate",
]
