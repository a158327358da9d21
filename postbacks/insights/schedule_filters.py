"""The filters that a scheduled export may have: as fields to choose from, and by names.

A schedule stores them as the API's address has them, where a row is its ID. People choose it by its
name, and a configuration document names it, for IDs mean nothing elsewhere.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlencode

from django.db import models
from django.http import QueryDict
from django.urls import resolve

from apps_registry.audit.audited_model import may_name_a_person
from apps_registry.models import Campaign, TrackingLink
from apps_registry.tenancy import Lifecycle

# What a period or a page says; a schedule does not.
RESERVED = ("since", "until", "limit", "cursor")
_PARENTS: dict[type[models.Model], tuple[str, ...]] = {
    Campaign: ("app",),
    TrackingLink: ("campaign", "campaign__app"),
}


class UnknownFilterError(Exception):
    """A list has no such filter, or the organization no such row; the message says which."""


@dataclass(frozen=True, slots=True)
class ListFilter:
    """A filter of a list: a row by its public ID, one of some choices, or else a text."""

    name: str
    help_text: str = ""
    choices: tuple[tuple[str, str], ...] = ()
    model: type[models.Model] | None = None


def view_of(list_name: str) -> Any:
    """Return the view of the API's list."""
    return cast(Any, resolve(f"/api/v1/{list_name}").func).cls


def filters_of(list_name: str) -> Mapping[str, ListFilter]:
    """Return by name the filters of a list that name neither a time nor a person."""
    return {
        each.name: each
        for each in view_of(list_name).list_filters()
        if each.name not in RESERVED and not may_name_a_person(QueryDict(f"{each.name}="))
    }


def rows_of(model: type[models.Model]) -> Iterator[Any]:
    """Yield the organization's rows of a model, each with what its label needs."""
    only = ("organization_id", "public_id", "name", "status")  # a rule's templates may be long
    parents = _PARENTS.get(model, ())
    rows = model._default_manager.order_by("name", "pk")
    yield from rows.select_related(*parents) if parents else rows.only(*only)


def label_of(row: Any) -> str:
    """Return how a row is called where its name alone may be another's, too."""
    parents = _PARENTS.get(type(row), ())
    return f"{label_of(getattr(row, parents[0]))} / {row.name}" if parents else str(row.name)


def names_of(list_name: str, filters: str) -> dict[str, str] | None:
    """Return the filters of an address with rows by their labels; None if one is in use no more."""
    offered = filters_of(list_name)
    named = {}
    for name, value in QueryDict(filters).dict().items():
        model = offered[name].model if name in offered else None
        named[name] = _label_of_id(model, str(value)) if model else str(value)
    return None if "" in named.values() else named


def address_of(list_name: str, named: Mapping[str, str]) -> str:
    """Return the filters as an address has them. Raises UnknownFilterError."""
    offered = filters_of(list_name)
    values = {}
    for name, value in named.items():
        if name not in offered:
            raise UnknownFilterError(f"A schedule of {list_name} has no filter “{name}”.")
        model = offered[name].model
        values[name] = value if model is None else _id_of_label(model, value)
    return urlencode(values)


def _label_of_id(model: type[models.Model], public_id: str) -> str:
    rows = (row for row in _in_use(model) if str(row.public_id) == public_id.lower())
    return next(map(label_of, rows), "")


def _id_of_label(model: type[models.Model], label: str) -> str:
    for row in _in_use(model):
        if label_of(row) == label:
            return str(row.public_id)
    what = model._meta.verbose_name
    raise UnknownFilterError(f"There is no {what} “{label}” here or in the document.")


def _in_use(model: type[models.Model]) -> Iterator[Any]:
    return (row for row in rows_of(model) if row.status != Lifecycle.ARCHIVED)
