"""The page on which people look macros up: all of them, or those that a search finds."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.contrib.admin import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from apps_registry.models import Partner
from postbacks.callbacks.macros import CATALOGUE, FILTERS, Filter, Macro, MacroGroup
from postbacks.callbacks.macros.vendors import VENDORS, vendor_names

# FOLDED from macro_palette.py


@dataclass(frozen=True, slots=True)
class ShownMacro:
    """One macro. `text` is what is written into a template."""

    text: str
    description: str
    example: str = ""
    is_personal: bool = False
    type: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueGroup:
    """Macros under one heading."""

    title: str
    macros: tuple[ShownMacro, ...]


def macro_groups() -> tuple[CatalogueGroup, ...]:
    """Return the catalogue by group, in its own order."""
    return tuple(
        CatalogueGroup(
            group.value,
            tuple(
                ShownMacro(_braced(it.name), it.description, it.example, it.personal, it.type)
                for it in CATALOGUE.values()
                if it.group == group
            ),
        )
        for group in MacroGroup
    )


def filters() -> tuple[ShownMacro, ...]:
    """Return what may be written after a bar."""
    return tuple(ShownMacro(it.name, it.description, it.example) for it in FILTERS.values())


def own_groups(partner: Partner | None, parameters: Iterable[str]) -> tuple[CatalogueGroup, ...]:
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
        CatalogueGroup("Credentials of the partner", credentials),
        CatalogueGroup("Parameters of the chosen event", own),
    )
    return tuple(group for group in groups if group.macros)


def _braced(name: str) -> str:
    return "{{" + name + "}}"


_ADDRESS = "postbacks_callbackrule_macros"
_PLATFORMS = {"ios": "iOS", "tv": "TV", "android": "Android", "amazon": "Amazon"}


@dataclass(frozen=True, slots=True)
class OthersName:
    """What one other vendor calls a macro."""

    vendor: str
    names: str


@dataclass(frozen=True, slots=True)
class MacroLine:
    """One macro as people read it."""

    name: str
    text: str
    description: str
    example: str
    platforms: str
    is_personal: bool
    is_money: bool
    others: tuple[OthersName, ...]

    def is_found_by(self, words: list[str]) -> bool:
        """Tell whether every word of a search occurs in something about the macro."""
        about = [self.name, self.text, self.description, self.platforms]
        about += [f"{it.vendor} {it.names}" for it in self.others]
        everything = " ".join(about).lower()
        return all(word in everything for word in words)


@dataclass(frozen=True, slots=True)
class MacroSection:
    """Macros under one heading."""

    title: str
    anchor: str
    lines: tuple[MacroLine, ...]


@dataclass(frozen=True, slots=True)
class MacroPage:
    """Everything that the page shows. `count` is of macros found."""

    search: str
    sections: tuple[MacroSection, ...]
    filters: tuple[Filter, ...]

    @property
    def count(self) -> int:
        return sum(len(section.lines) for section in self.sections)


class CataloguePage:
    """Serves the page below the list of callback rules."""

    def __init__(self, model_admin: ModelAdmin) -> None:
        self.model_admin = model_admin
        self.site = model_admin.admin_site

    @property
    def urls(self) -> list[URLPattern]:
        return [path("macros/", self.site.admin_view(self.view), name=_ADDRESS)]

    def view(self, request: HttpRequest) -> HttpResponse:
        if not self.model_admin.has_view_permission(request):
            raise PermissionDenied
        context = {
            **self.site.each_context(request),
            "title": "Macros",
            "macros": macro_page(request.GET.get("q", "").strip()),
        }
        return TemplateResponse(request, "admin/postbacks/callbackrule/catalogue.html", context)


def macro_page(search: str) -> MacroPage:
    """Return the catalogue by group, as far as a search leaves it."""
    words = search.lower().split()
    sections = (
        MacroSection(
            group.value,
            group.name.lower().replace("_", "-"),
            tuple(
                line
                for macro in CATALOGUE.values()
                if macro.group == group and (line := _line(macro)).is_found_by(words)
            ),
        )
        for group in MacroGroup
    )
    filters = tuple(it for it in FILTERS.values() if _has_all(it, words))
    return MacroPage(search, tuple(it for it in sections if it.lines), filters)


def _has_all(each: Filter, words: list[str]) -> bool:
    return all(word in f"{each.name} {each.description}".lower() for word in words)


def _line(macro: Macro) -> MacroLine:
    return MacroLine(
        name=macro.name,
        text="{{" + macro.name + "}}",
        description=macro.description,
        example=macro.example,
        platforms=", ".join(_PLATFORMS[it] for it in macro.platforms) or "all",
        is_personal=macro.personal,
        is_money=macro.money,
        others=tuple(
            OthersName(VENDORS[vendor].name, " ".join(names))
            for vendor, names in vendor_names(macro.name).items()
        ),
    )
