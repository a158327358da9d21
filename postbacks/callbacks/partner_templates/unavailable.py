"""The networks that people look for in vain: named with the reason, so that they stop looking."""

from functools import cache

from msgspec import Struct

from postbacks.callbacks.partner_templates.files import FOLDER, UNAVAILABLE, read_as


class Unavailable(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """This is a network without a template; `also` holds other names that people look for."""

    title: str
    why: str
    also: str = ""


class _UnavailableFile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    partners: tuple[Unavailable, ...]


@cache
def unavailable_partners() -> tuple[Unavailable, ...]:
    """These are the networks that have no template yet, by title. Raises TemplateFileError."""
    listed = read_as(_UnavailableFile, FOLDER / UNAVAILABLE).partners
    return tuple(sorted(listed, key=lambda it: it.title.lower()))
