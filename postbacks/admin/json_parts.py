"""A JSON body, taken apart like a query: what was written beside what is sent; and laid out."""

import json
import re
from collections.abc import Iterator
from typing import Final

import msgspec

from postbacks.admin.rules.request_parts import Part
from postbacks.callbacks.macros.parser import macros_in

# Private characters around a macro's number, while JSON is read that can't hold macros.
_TOKEN: Final = re.compile("\ue000(\\d+)\ue001")
_WHOLE: Final = re.compile('"\ue000(\\d+)\ue001"')
_QUOTES: Final = re.compile(r"\\.|\"", re.DOTALL)
_LONGEST_LAID_OUT: Final = 10_000

Step = str | int


def json_parts(template: str, sent: str) -> tuple[Part, ...]:
    """Return the values of a JSON body by their paths; none where one of the two is not JSON."""
    if "\ue000" in template:
        return ()
    readable, macros = _readable(template)
    try:
        written = json.loads(readable, parse_float=str)
        filled = json.loads(sent, parse_float=str)
    except (ValueError, RecursionError):
        return ()
    return tuple(
        Part(_name(path), _restored(value, macros), _shown(*_at(filled, path)))
        for path, value in _leaves(written, ())
    )


def laid_out(template: str) -> str | None:
    """Return a JSON template with one member to a line; None if it is that already, or no JSON."""
    if len(template) > _LONGEST_LAID_OUT or "\ue000" in template:
        return None
    readable, macros = _readable(template)
    try:
        json.loads(readable)
        text = msgspec.json.format(readable.encode(), indent=2).decode()
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None
    for tokens in (_WHOLE, _TOKEN):
        text = tokens.sub(lambda it: macros[int(it[1])].whole(it[0]), text)
    return text if text != template.strip() else None


class _Macro(str):
    """A macro as it was written; `is_value` where it stands for a whole JSON value."""

    is_value = False

    def whole(self, token: str) -> str:
        """Return what a token stands for; quotes of the template's own stay."""
        if not token.startswith('"') or self.is_value:
            return self
        return f'"{self}"'


def _readable(template: str) -> tuple[str, list[_Macro]]:
    """Return a template as JSON, with tokens in place of its macros, and the macros."""
    pieces: list[str] = []
    macros: list[_Macro] = []
    end, is_inside = 0, False
    for found in macros_in(template):
        literal = template[end : found.start]
        is_inside ^= sum(it[0] == '"' for it in _QUOTES.finditer(literal)) % 2 == 1
        token = f"\ue000{len(macros)}\ue001"
        macro = _Macro(template[found.start : found.end])
        macro.is_value = not is_inside
        macros.append(macro)
        pieces += (literal, token if is_inside else f'"{token}"')
        end = found.end
    return "".join([*pieces, template[end:]]), macros


def _leaves(value: object, path: tuple[Step, ...]) -> Iterator[tuple[tuple[Step, ...], object]]:
    inner: Iterator[tuple[Step, object]] | None = None
    if isinstance(value, dict) and value:
        inner = iter(value.items())
    elif isinstance(value, list) and value:
        inner = iter(enumerate(value))
    if inner is None:
        yield path, value
        return
    for step, each in inner:
        yield from _leaves(each, (*path, step))


def _name(path: tuple[Step, ...]) -> str:
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return _TOKEN.sub("…", name.removeprefix("."))


def _restored(value: object, macros: list[_Macro]) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return _TOKEN.sub(lambda it: macros[int(it[1])], text)


def _at(value: object, path: tuple[Step, ...]) -> tuple[bool, object]:
    for step in path:
        try:
            value = value[step]  # type: ignore[index]  # what is no container is caught
        except (KeyError, IndexError, TypeError):
            return False, None
    return True, value


def _shown(is_there: bool, value: object) -> str | None:
    if not is_there:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
