"""Splits the texts of a rule's request from their macros."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.macros.catalogue import base_name
from postbacks.callbacks.macros.parser import MacroCall, Name, macros_in
from postbacks.callbacks.rules.definition import RuleDefinition

HIDDEN: Final = "\0"


@dataclass(frozen=True, slots=True)
class RequestText:
    """One text; `plain` has the same length, with HIDDEN characters in place of the macros."""

    field: str
    written: str
    plain: str
    calls: tuple[MacroCall, ...]


def texts_of(definition: RuleDefinition) -> tuple[RequestText, ...]:
    """Return the URL, the headers' values and the body of a rule."""
    fields = [("url", definition.url)]
    fields += [(f"headers.{name}", value) for name, value in definition.headers.items()]
    if definition.body_type != BodyType.NONE:
        fields.append(("body", definition.body))
    return tuple(text_of(field, written) for field, written in fields)


def text_of(field: str, written: str) -> RequestText:
    pieces: list[str] = []
    calls: list[MacroCall] = []
    end = 0
    for macro in macros_in(written):
        pieces += (written[end : macro.start], HIDDEN * (macro.end - macro.start))
        end = macro.end
        if isinstance(macro, MacroCall):
            calls.append(macro)
    return RequestText(field, written, "".join([*pieces, written[end:]]), tuple(calls))


def names_in(call: MacroCall) -> Iterator[str]:
    """Yield the names in a macro, without their endings."""
    for source in call.sources:
        if isinstance(source, Name):
            yield base_name(source.text) or source.text
