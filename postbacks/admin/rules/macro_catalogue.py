"""The macros that people can write: the palette beside a rule's form, and the page to search."""

from collections.abc import Iterable
from dataclasses import dataclass

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from apps_registry.admin_base.tenant_admin import SubPage
from apps_registry.models import Partner
from postbacks.callbacks.macros import CATALOGUE, FILTERS, Filter, Macro, MacroGroup
from postbacks.callbacks.macros.vendors import VENDORS, vendor_names

_ADDRESS = "postbacks_callbackrule_macros"
_PLATFORMS = {"ios": "iOS", "tv": "TV", "android": "Android", "amazon": "Amazon"}


@dataclass(frozen=True, slots=True)
class MacroView:
    """One macro or filter of the palette; `text` is written into a template."""

    text: str
    description: str
    example: str = ""
    is_personal: bool = False
    type: str = ""


@dataclass(frozen=True, slots=True)
class CatalogueGroup:
    """Macros under one heading."""

    title: str
    macros: tuple[MacroView, ...]


def macro_groups() -> tuple[CatalogueGroup, ...]:
    """Return the catalogue by group, in its own order."""
    return tuple(
        CatalogueGroup(
            group.value,
            tuple(
                MacroView(
                    _braced(macro.name),
                    macro.description,
                    macro.example,
                    macro.personal,
                    macro.type,
                )
                for macro in CATALOGUE.values()
                if macro.group == group
            ),
        )
        for group in MacroGroup
    )


def filters() -> tuple[MacroView, ...]:
    return tuple(MacroView(each.name, each.description, each.example) for each in FILTERS.values())


def own_groups(partner: Partner | None, parameters: Iterable[str]) -> tuple[CatalogueGroup, ...]:
    """Return the macros that only this partner and the chosen event have."""
    names = partner.credentials.order_by("name").values_list("name", flat=True) if partner else ()
    credentials = tuple(
        MacroView(_braced(f"credential.{name}"), "A secret of this partner, masked everywhere")
        for name in names
    )
    own = tuple(
        MacroView(_braced(name), "A parameter of the chosen event", is_personal=True)
        for name in parameters
    )
    groups = (
        CatalogueGroup("Credentials of the partner", credentials),
        CatalogueGroup("Parameters of the chosen event", own),
    )
    return tuple(group for group in groups if group.macros)


@dataclass(frozen=True, slots=True)
class VendorNames:
    """The names that another vendor has for a macro."""

    vendor: str
    names: str


@dataclass(frozen=True, slots=True)
class MacroRow:
    """One macro on the page, with all that a search looks at."""

    name: str
    text: str
    description: str
    example: str
    platforms: str
    is_personal: bool
    is_money: bool
    vendors: tuple[VendorNames, ...]

    def matches(self, words: list[str]) -> bool:
        about = [self.name, self.text, self.description, self.platforms]
        about += [f"{names.vendor} {names.names}" for names in self.vendors]
        everything = " ".join(about).lower()
        return all(word in everything for word in words)


@dataclass(frozen=True, slots=True)
class MacroSection:
    """Macros under one heading."""

    title: str
    anchor: str
    rows: tuple[MacroRow, ...]


@dataclass(frozen=True, slots=True)
class MacroPage:
    """The context of the page. `count` counts the macros that the search leaves."""

    search: str
    sections: tuple[MacroSection, ...]
    filters: tuple[Filter, ...]

    @property
    def count(self) -> int:
        return sum(len(section.rows) for section in self.sections)


class CataloguePage(SubPage):
    """Serve the page, below the list of callback rules."""

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
    """Return the macros and filters that have every word of the search, by group."""
    words = search.lower().split()
    sections = (
        MacroSection(
            group.value,
            group.name.lower().replace("_", "-"),
            tuple(
                row
                for macro in CATALOGUE.values()
                if macro.group == group and (row := _macro_row(macro)).matches(words)
            ),
        )
        for group in MacroGroup
    )
    filters = tuple(each for each in FILTERS.values() if _filter_matches(each, words))
    return MacroPage(search, tuple(section for section in sections if section.rows), filters)


def _filter_matches(each: Filter, words: list[str]) -> bool:
    return all(word in f"{each.name} {each.description}".lower() for word in words)


def _macro_row(macro: Macro) -> MacroRow:
    return MacroRow(
        name=macro.name,
        text=_braced(macro.name),
        description=macro.description,
        example=macro.example,
        platforms=", ".join(_PLATFORMS[platform] for platform in macro.platforms) or "all",
        is_personal=macro.personal,
        is_money=macro.money,
        vendors=tuple(
            VendorNames(VENDORS[vendor].name, " ".join(names))
            for vendor, names in vendor_names(macro.name).items()
        ),
    )


def _braced(name: str) -> str:
    return "{{" + name + "}}"
