"""The texts of a rule's request, with what people wrote told apart from its macros."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from postbacks.callbacks.macros import BodyType
from postbacks.callbacks.macros.catalogue import base_name
from postbacks.callbacks.macros.parser import MacroCall, Name, macros_in
from postbacks.callbacks.rules.definition import RuleDefinition

HIDDEN: Final = "\0"


@dataclass(frozen=True, slots=True)
class Text:
    """This is one text. `plain` is as long, with HIDDEN characters in place of the macros."""

    field: str
    written: str
    plain: str
    calls: tuple[MacroCall, ...]


def texts_of(definition: RuleDefinition) -> tuple[Text, ...]:
    """These are the URL, the headers' values and the body of a rule."""
    written = [("url", definition.url)]
    written += [(f"headers.{name}", value) for name, value in definition.headers.items()]
    if definition.body_type != BodyType.NONE:
        written.append(("body", definition.body))
    return tuple(text_of(field, text) for field, text in written)


def text_of(field: str, written: str) -> Text:
    """This takes one text apart."""
    pieces: list[str] = []
    calls: list[MacroCall] = []
    end = 0
    for found in macros_in(written):
        pieces += (written[end : found.start], HIDDEN * (found.end - found.start))
        end = found.end
        if isinstance(found, MacroCall):
            calls.append(found)
    return Text(field, written, "".join([*pieces, written[end:]]), tuple(calls))


def names_in(call: MacroCall) -> Iterator[str]:
    """These are the names of a macro, without their endings."""
    for source in call.sources:
        if isinstance(source, Name):
            yield base_name(source.text) or source.text
