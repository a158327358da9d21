"""Reads the template files, each checked as a whole: a wrong one names file and key."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec.structs import replace

from postbacks.callbacks.partner_templates.checking import problems_of
from postbacks.callbacks.partner_templates.shape import PartnerTemplate, TemplateGroup

FOLDER: Final = Path(__file__).parent.parent / "templates"
UNAVAILABLE: Final = "unavailable.toml"  # the one file there that is no template
_ORDER: Final = list(TemplateGroup)

Shape = TypeVar("Shape")


class TemplateFileError(ValueError):
    """This is raised for a template file that can't be used; it names the file and the key."""

    def __init__(self, path: Path, key: str, message: str) -> None:
        super().__init__(f"{path.name}, {key}: {message}")
        self.path = path
        self.key = key
        self.message = message


@cache
def all_templates() -> Mapping[str, PartnerTemplate]:
    """These are the shipped templates by name, group by group. Raises TemplateFileError."""
    return read_folder(FOLDER)


def template_named(name: str) -> PartnerTemplate | None:
    """This is a shipped template, None if there is none of this name."""
    return all_templates().get(name)


def click_parameters(name: str) -> str:
    """Return the parameters that a template's network fills into links; empty if none is known."""
    template = template_named(name) if name else None
    macros = template.click_macros if template else ()
    return "&".join(f"{it.parameter}={it.macro}" for it in macros if it.macro)


def read_folder(folder: Path) -> Mapping[str, PartnerTemplate]:
    """These are the templates of a folder. Raises TemplateFileError."""
    found = [_read(it) for it in sorted(folder.glob("*.toml")) if it.name != UNAVAILABLE]
    found.sort(key=lambda it: (_ORDER.index(it.group), it.title.lower()))
    return {it.name: it for it in found}


def read_as(shape: type[Shape], path: Path) -> Shape:
    """This is a file in the shape that it must have. Raises TemplateFileError."""
    return _shaped(shape, path, _toml(path))


def _read(path: Path) -> PartnerTemplate:
    data = _toml(path)
    data = {**data, "name": path.stem, "rules": list(_with_shared_rows(data))}
    data.pop("parameters", None)
    template = _shaped(PartnerTemplate, path, data)
    for key, message in problems_of(template):
        raise TemplateFileError(path, key, message)
    return replace(template, name=path.stem)


def _toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TemplateFileError(path, "the file", f"This is not TOML: {error}") from None


def _shaped(shape: type[Shape], path: Path, data: Mapping[str, object]) -> Shape:
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$")
        raise TemplateFileError(path, place.strip("`.") or "the file", message) from None


def _with_shared_rows(data: Mapping[str, object]) -> Iterator[object]:
    """These are the rules, each with the rows that stand once for all of them before its own."""
    shared, rules = data.get("parameters", []), data.get("rules", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if isinstance(rule, dict) and isinstance(shared, list):
            yield {**rule, "parameters": [*shared, *rule.get("parameters", [])]}
        else:
            yield rule
