"""The macros that a template may name, as the form lists them."""

from collections.abc import Iterable
from dataclasses import dataclass

from apps_registry.models import Partner
from postbacks.callbacks.macros import CATALOGUE, FILTERS, Group


@dataclass(frozen=True, slots=True)
class ShownMacro:
    """One macro. `text` is what is written into a template."""

    text: str
    description: str
    example: str = ""
    is_personal: bool = False
    type: str = ""


@dataclass(frozen=True, slots=True)
class MacroGroup:
    """Macros under one heading."""

    title: str
    macros: tuple[ShownMacro, ...]


def macro_groups() -> tuple[MacroGroup, ...]:
    """Return the catalogue by group, in its own order."""
    return tuple(
        MacroGroup(
            group.value,
            tuple(
                ShownMacro(_braced(it.name), it.description, it.example, it.personal, it.type)
                for it in CATALOGUE.values()
                if it.group == group
            ),
        )
        for group in Group
    )


def filters() -> tuple[ShownMacro, ...]:
    """Return what may be written after a bar."""
    return tuple(ShownMacro(it.name, it.description, it.example) for it in FILTERS.values())


def own_groups(partner: Partner | None, parameters: Iterable[str]) -> tuple[MacroGroup, ...]:
    """Return what only this partner and the chosen event have."""
    names = partner.credentials.order_by("name").values_list("name", flat=True) if partner else ()
    credentials = tuple(
        ShownMacro(_braced(f"credential.{name}"), "A secret of this partner, masked everywhere")
        for name in names
    )
    own = tuple(
        ShownMacro(_braced(name), "A parameter of the chosen event", is_personal=True)
        for name in parameters
    )
    groups = (
        MacroGroup("Credentials of the partner", credentials),
        MacroGroup("Parameters of the chosen event", own),
    )
    return tuple(group for group in groups if group.macros)


def _braced(name: str) -> str:
    return "{{" + name + "}}"
