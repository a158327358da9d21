"""Which characters a name may hold: all that people write, and none that misleads a reader.

Python's `isprintable` refuses the joiners of Persian words and of emoji, and no-break spaces.
"""

import re
import unicodedata
from typing import Final

# Zero-width spaces come with pasted text, and a direction that is overridden shows another name.
_MISLEADING: Final = frozenset("\u200b\ufeff\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_CONTROLS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BLANK: Final = frozenset({"Cf", "Zs"})
_FILLERS: Final = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")  # letters without a shape


def hidden_character(text: str) -> str:
    """Return the first character that nobody sees and no name needs, as `U+200B …`; "" if none."""
    if text.isprintable():
        return ""
    for character in text:
        if unicodedata.category(character) in _CONTROLS or character in _MISLEADING:
            name = unicodedata.name(character, "control character").lower()
            return f"U+{ord(character):04X} ({name})"
    return ""


def is_visible(text: str) -> bool:
    """Tell whether a text can be a name: something of it shows, and nothing of it misleads."""
    if text.isascii():
        return text.isprintable() and bool(text.strip())
    if hidden_character(text):
        return False
    return any(
        unicodedata.category(character) not in _BLANK for character in _FILLERS.sub("", text)
    )
