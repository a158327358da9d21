"""Macros of other tools in a template: nothing is wrong with them, but they are sent as they stand.

Networks write them as {name}, ${name}, %name%, [NAME] or (name). Only names that we have too are
spoken of, so that a text in brackets is left alone.
"""

import re

from postbacks.callbacks.macros import CATALOGUE
from postbacks.callbacks.macros.parser import macros_in

_FOREIGN = re.compile(
    r"\$?\{(?P<braces>\w+)\}|%(?P<percent>\w+)%|\[(?P<brackets>\w+)\]|\((?P<parentheses>\w+)\)"
)
_MOST = 5


def remarks_on(template: str) -> tuple[str, ...]:
    """Return a sentence for each foreign macro that has one of ours in its place, each once."""
    remarks: dict[str, None] = {}
    for found in _FOREIGN.finditer(_without_macros(template)):
        name = str(found[found.lastgroup or 0]).lower()
        if name in CATALOGUE:
            ours = "{{" + name + "}}"
            remarks[f"{found[0]} is sent as it stands; a macro has two braces: {ours}"] = None
    return tuple(remarks)[:_MOST]


def _without_macros(template: str) -> str:
    pieces: list[str] = []
    end = 0
    for macro in macros_in(template):
        pieces.append(template[end : macro.start])
        end = macro.end
    return " ".join([*pieces, template[end:]])
