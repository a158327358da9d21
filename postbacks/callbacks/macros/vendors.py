"""What other vendors call our macros: one file for each vendor in `vendors/`, and generic.toml.

A name that is in no file has no counterpart with us. Times are Unix seconds unless a filter or an
ending says otherwise. Where the same value has several names, the first is the usual one.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.catalogue import base_name

_FOLDER: Final = Path(__file__).parent / "vendors"
_NAME: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a vendor's URLs mark a macro, and which of its macros we have.

    `macros` leads from a vendor's bare name to our expression for the same value, without braces:
    `{"idfa_md5": "idfa_md5", "is_organic": "is_organic|int"}`. `first_of` does so where several of
    our macros may have it, best first. `without` says why a name has no counterpart. `own` are
    names that no other vendor writes. An affiliate tracker `is_tracker`, the others are MMPs.
    """

    key: str
    name: str
    is_tracker: bool
    before: str
    after: str
    macros: Mapping[str, str]
    first_of: Mapping[str, str]
    without: Mapping[str, str]
    own: frozenset[str]

    def spelled(self, name: str) -> str:
        """Return a name as this vendor's URLs spell it."""
        return f"{self.before}{name}{self.after}"


def vendor_names(macro: str) -> Mapping[str, tuple[str, ...]]:
    """Return the other vendors' names of a macro, as their URLs spell them, by vendor key."""
    return _names_by_macro().get(macro, {})


@cache
def _names_by_macro() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    by_macro: dict[str, dict[str, tuple[str, ...]]] = {}
    for vendor in VENDORS.values():
        for name, expression in {**vendor.macros, **vendor.first_of}.items():
            first = _NAME.match(expression)
            macro = base_name(first[0]) if first else None
            if macro is not None:
                names = by_macro.setdefault(macro, {})
                names[vendor.key] = (*names.get(vendor.key, ()), vendor.spelled(name))
    return by_macro


def _read(path: Path) -> Vendor:
    data = tomllib.loads(path.read_text("utf-8"))
    same = {name: name for name in data.get("same", "").split()}
    return Vendor(
        key=path.stem,
        name=data["name"],
        is_tracker=data.get("is_tracker", False),
        before=data["before"],
        after=data["after"],
        macros=MappingProxyType({**same, **data["macros"]}),
        first_of=MappingProxyType(
            {name: "||".join(ours.split()) for name, ours in data.get("first_of", {}).items()}
        ),
        without=MappingProxyType(data.get("without", {})),
        own=frozenset(data.get("own", "").split()),
    )


_ALL: Final = {path.stem: _read(path) for path in sorted(_FOLDER.glob("*.toml"))}

# The words that many tools share, for a URL that no tool alone could have written.
GENERIC: Final = _ALL.pop("generic")
VENDORS: Final[Mapping[str, Vendor]] = MappingProxyType(
    dict(sorted(_ALL.items(), key=lambda item: (item[1].is_tracker, item[0])))
)
