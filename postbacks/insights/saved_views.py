"""Saved views of lists: kept for a person or shared with the organization, within bounds."""

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet

from apps_registry.audit.actions import Action
from apps_registry.audit.audited_model import is_about_nobody, log_action
from apps_registry.models import User
from postbacks.infrastructure.database.jobs import take_turns
from postbacks.models import SavedView
from postbacks.models.saved_views import LONGEST_FILTERS, LONGEST_VIEW_NAME
from postbacks.values.refusals import no_room

MOST_OF_PERSON: Final = 50  # saved views of an organization, and likewise shared ones
MOST_SHARED: Final = 100
MOST_COLUMNS: Final = 40
LONGEST_COLUMN: Final = 64
# The lists that have views, by their names in the API.
LISTS: Final = {
    "postbacks": "postbacks.postback",
    "delivery-attempts": "postbacks.deliveryattempt",
    "events": "postbacks.event",
    "installs": "postbacks.install",
    "touchpoints": "postbacks.touchpoint",
    "refused-events": "postbacks.refusedevent",
    "replays": "postbacks.replay",
    "skan-postbacks": "postbacks.skanpostback",
    "audit-log": "apps_registry.auditentry",
}
# Filters by an id or a text name one device, one person: a view is about kinds of rows. What the
# lists' pages filter by besides what the audit log keeps of filters.
_ABOUT_KINDS: Final = frozenset(
    {
        *("event", "time", "order", "code", "attempts", "country", "pointer", "sdk_version"),
        *("network", "signature", "duplicates", "postback", "won", "rejected"),
    }
)
_MAY_BE_ID: Final = re.compile(
    r"[0-9a-f-]{16,}"  # of a device, or a digest
    r"|[^@\s]+@[^@\s]+"
    r"|[0-9a-f]*:[0-9a-f:.]+|\d+(\.\d+){3}",  # addresses
    re.IGNORECASE,
)
_REFERENCES: Final = frozenset({"app", "partner", "rule", "campaign", "link"})


class ViewRefusedError(Exception):
    """A view can't be saved; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class NewView:
    """A view to save. `filters` are those of the list's address."""

    list_name: str
    name: str
    filters: Mapping[str, str]
    columns: Sequence[str]
    is_shared: bool = False


def views_for(user: User | None) -> "QuerySet[SavedView]":
    """Return the views that a person may open: their own, and those shared with all."""
    own = Q(owner_ref=user.pk) if user is not None else Q(pk__in=[])
    return SavedView.objects.filter(own | Q(is_shared=True)).exclude(name="")


def save_view(view: NewView, *, user: User | None) -> SavedView:
    """Save a view under its name, in place of the person's own one of that name.

    Raises ViewRefusedError. A program without a person can only share.
    """
    name = view.name.strip()
    if not name or len(name) > LONGEST_VIEW_NAME or not name.isprintable():
        raise ViewRefusedError(f"Give the view a name of at most {LONGEST_VIEW_NAME} characters.")
    if user is None and not view.is_shared:
        raise ViewRefusedError("A token of the organization can only save a view that is shared.")
    filters = urlencode({key: v for key, v in view.filters.items() if v and _is_kept(key, v)})
    if len(filters) > LONGEST_FILTERS:
        raise ViewRefusedError("These filters are too long to be kept; leave some out.")
    take_turns("saved_view")
    owner_ref = user.pk if user is not None else None
    saved = SavedView.objects.filter(
        owner_ref=owner_ref, list_name=view.list_name, name=name
    ).first()
    _check_room(saved, owner_ref, view)
    saved = saved or SavedView(list_name=view.list_name, name=name, owner_ref=owner_ref)
    saved.created_by = user.email if user is not None else "API"
    saved.filters, saved.is_shared = filters, view.is_shared
    saved.columns = _within_bounds(view.columns)
    saved.save()
    if saved.is_shared:
        log_action(Action.CHANGED, name=f"shared view {saved}")
    return saved


def _is_kept(name: str, value: str) -> bool:
    """Tell whether a filter is about kinds of rows, and its value no id of a person or device."""
    if not (name in _ABOUT_KINDS or is_about_nobody(name)):
        return False
    return name in _REFERENCES or _MAY_BE_ID.fullmatch(value.strip()) is None


def _check_room(saved: SavedView | None, owner_ref: int | None, view: NewView) -> None:
    own = SavedView.objects.filter(owner_ref=owner_ref).exclude(name="")
    refusal = ""
    if saved is None:
        whose = "A person" if owner_ref is not None else "The API"
        what, remedy = "saved views", "Delete some that you don't need."
        refusal = no_room(own.count(), MOST_OF_PERSON, what, remedy, whose=whose)
    shares_more = view.is_shared and (saved is None or not saved.is_shared)
    if shares_more and not refusal:
        shared = SavedView.objects.filter(is_shared=True).count()
        refusal = no_room(shared, MOST_SHARED, "shared views", "Delete some that nobody needs.")
    if refusal:
        raise ViewRefusedError(refusal)


def may_delete(view: SavedView, *, user: User | None, may_manage: bool) -> bool:
    """Tell whether somebody may delete a view: its creator, and of shared ones who manages all.

    What a program shared is every program's of the organization.
    """
    owner_ref = user.pk if user is not None else None
    return view.owner_ref == owner_ref or (view.is_shared and may_manage)


def delete_view(view: SavedView) -> None:
    if view.is_shared:
        log_action(Action.DELETED, name=f"shared view {view}")
    SavedView.objects.filter(pk=view.pk).delete()


def remember_columns(list_name: str, columns: Sequence[str], *, user: User) -> None:
    """Keep which columns a person wants of a list; none means the usual ones."""
    if not columns:
        SavedView.objects.filter(owner_ref=user.pk, list_name=list_name, name="").delete()
        return
    SavedView.objects.update_or_create(
        owner_ref=user.pk,
        list_name=list_name,
        name="",
        defaults={"columns": _within_bounds(columns)},
    )


def _within_bounds(columns: Sequence[str]) -> list[str]:
    """Return columns as they are stored, without what can be no list's."""
    names = (name for name in columns if len(name) <= LONGEST_COLUMN and name.isprintable())
    return list(dict.fromkeys(names))[:MOST_COLUMNS]


def remembered_columns(list_name: str, *, user: User | None) -> list[str]:
    if user is None:
        return []
    view = SavedView.objects.filter(owner_ref=user.pk, list_name=list_name, name="").first()
    return columns_of(view) if view is not None else []


def columns_of(view: SavedView) -> list[str]:
    """Return a view's columns as texts, whatever is stored."""
    return [str(name) for name in view.columns] if isinstance(view.columns, list) else []


def known_columns(names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return the columns that a list still has, in the order that was chosen."""
    return [name for name in names if name in known]
