"""Writes the rows of a template as a query, a form, or a JSON body."""

import json
import re
from collections.abc import Sequence
from typing import Final

from postbacks.callbacks.macros.parser import MacroCall, macros_in
from postbacks.callbacks.partner_templates.shape import TemplateParameter

_STEP: Final = re.compile(r"[^.\[\]]+|\[\d+\]")

# A JSON value as it stands in the template, or what it is made of.
Node = str | dict[str, "Node"] | list["Node"]


def query_of(rows: Sequence[TemplateParameter]) -> str:
    """Write `name=value` pairs for a URL."""
    return "&".join(f"{row.name}={_plain(row.value)}" for row in rows)


def form_of(rows: Sequence[TemplateParameter]) -> str:
    """Write `name=value` pairs for a form body, one to a line."""
    return "\n".join(f"{row.name}={_plain(row.value)}" for row in rows)


def json_of(rows: Sequence[TemplateParameter]) -> str:
    """Write a JSON body. Raises ValueError, which names the row whose path does not fit."""
    tree: dict[str, Node] = {}
    for row in rows:
        _put(tree, row)
    return _written(tree, 0)


def is_one_macro(text: str) -> bool:
    """Tell whether a text is a macro and nothing else."""
    macro = next(macros_in(text), None)
    return isinstance(macro, MacroCall) and (macro.start, macro.end) == (0, len(text))


def leaf_of(row: TemplateParameter) -> str:
    """Return a row's value as a JSON body holds it."""
    if isinstance(row.value, tuple):
        return f"[{', '.join(_quoted(text) for text in row.value)}]"
    if not isinstance(row.value, str):
        return json.dumps(row.value)
    return row.value if is_one_macro(row.value) and not row.as_text else _quoted(row.value)


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value)


def _put(tree: dict[str, Node], row: TemplateParameter) -> None:
    steps = _STEP.findall(row.name)
    here: Node = tree
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        inner: Node = leaf_of(row) if following is None else [] if following[0] == "[" else {}
        here = _enter(here, step, inner, is_leaf=following is None, row=row)


def _enter(here: Node, step: str, inner: Node, *, is_leaf: bool, row: TemplateParameter) -> Node:
    if step.startswith("[") and isinstance(here, list):
        index = int(step[1:-1])
        if index == len(here):
            here.append(inner)
            return inner
        if index < len(here) and not is_leaf:
            return here[index]
    elif not step.startswith("[") and isinstance(here, dict) and not (is_leaf and step in here):
        return here.setdefault(step, inner)
    raise ValueError(f"{row.name} does not fit to the rows before it.")


def _quoted(text: str) -> str:
    """Return a JSON string in which the macros stay as they were written."""
    pieces, end = [], 0
    for macro in macros_in(text):
        pieces += [json.dumps(text[end : macro.start])[1:-1], text[macro.start : macro.end]]
        end = macro.end
    return f'"{"".join(pieces)}{json.dumps(text[end:])[1:-1]}"'


def _written(node: Node, depth: int) -> str:
    if isinstance(node, str):
        return node
    inner, outer = "  " * (depth + 1), "  " * depth
    if isinstance(node, dict):
        lines = [f"{inner}{json.dumps(k)}: {_written(v, depth + 1)}" for k, v in node.items()]
    else:
        lines = [inner + _written(value, depth + 1) for value in node]
    opening, closing = "{}" if isinstance(node, dict) else "[]"
    between = ",\n".join(lines)
    return f"{opening}\n{between}\n{outer}{closing}"
