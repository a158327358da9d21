"""Which questions the address of a list may ask: those of the list's own filters."""

from collections.abc import Iterable
from typing import Any

from django.db.models.options import Options

_WAYS = frozenset({"exact", "in", "isnull", "id"})  # those in which Django's own filters ask


def is_asked(lookup: str, options: "Options[Any]", filters: Iterable[Any]) -> bool:
    """Tell whether a parameter belongs to a filter, or to nothing of the rows at all."""
    name, *ways = lookup.split("__")
    if not ways and name not in _names_in(options):
        return True  # the list itself leaves it out
    known = {_name_of(item) for item in filters}
    return lookup in known or (name in known and _WAYS.issuperset(ways))


def _names_in(options: "Options[Any]") -> set[str]:
    fields = options.get_fields()
    return {"pk", *(it.name for it in fields), *(getattr(it, "attname", it.name) for it in fields)}


def _name_of(item: Any) -> str:
    """Return the name under which a filter stands in the address."""
    if isinstance(item, str):
        return item
    return str(getattr(item, "parameter_name", None) or item[0])
