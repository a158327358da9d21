"""Reads the template files, and checks each: the error for a wrong one names file and key."""

import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from postbacks.callbacks.partner_templates.checking import problems_of
from postbacks.callbacks.partner_templates.shape import PartnerTemplate, TemplateGroup

FOLDER: Final = Path(__file__).parent / "files"
_UNAVAILABLE: Final = "unavailable.toml"  # the one file there that is no template
_ORDER: Final = list(TemplateGroup)

Shape = TypeVar("Shape")


class TemplateFileError(ValueError):
    """A template file can't be used; names the file and the key."""

    def __init__(self, path: Path, key: str, message: str) -> None:
        super().__init__(f"{path.name}, {key}: {message}")
        self.path = path
        self.key = key
        self.message = message


class Unavailable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A network without a template; `also` holds other names that people look for."""

    title: str
    why: str
    also: str = ""


class _UnavailableFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    partners: tuple[Unavailable, ...]


@cache
def all_templates() -> Mapping[str, PartnerTemplate]:
    """Return the shipped templates by name, group by group. Raises TemplateFileError."""
    return read_folder(FOLDER)


def template_named(name: str) -> PartnerTemplate | None:
    return all_templates().get(name)


def click_parameters(name: str) -> str:
    """Return the parameters that a template's network fills into links, as a query."""
    template = template_named(name) if name else None
    macros = template.click_macros if template else ()
    return "&".join(f"{macro.parameter}={macro.macro}" for macro in macros if macro.macro)


def read_folder(folder: Path) -> Mapping[str, PartnerTemplate]:
    """Return a folder's templates by name, group by group. Raises TemplateFileError."""
    paths = [path for path in sorted(folder.glob("*.toml")) if path.name != _UNAVAILABLE]
    templates = [_read(path) for path in paths]
    templates.sort(key=lambda template: (_ORDER.index(template.group), template.title.lower()))
    return {template.name: template for template in templates}


@cache
def unavailable_partners() -> tuple[Unavailable, ...]:
    """Return the networks without a template, by title. Raises TemplateFileError."""
    path = FOLDER / _UNAVAILABLE
    partners = _shaped(_UnavailableFile, path, _toml(path)).partners
    return tuple(sorted(partners, key=lambda partner: partner.title.lower()))


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
        message, _, key = str(error).partition(" - at `$")
        raise TemplateFileError(path, key.strip("`.") or "the file", message) from None


def _with_shared_rows(data: Mapping[str, object]) -> Iterator[object]:
    """Yield the rules, each with the rows that all of them share before its own."""
    shared, rules = data.get("parameters", []), data.get("rules", [])
    for rule in rules if isinstance(rules, list) else [rules]:
        if isinstance(rule, dict) and isinstance(shared, list):
            yield {**rule, "parameters": [*shared, *rule.get("parameters", [])]}
        else:
            yield rule
