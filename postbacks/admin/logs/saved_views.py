"""Columns and saved views of a log's list: what a person chose, and the forms that choose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import timezone

from apps_registry.admin_base.permissions import allowed, user_of
from apps_registry.roles import Right
from postbacks.insights import saved_views
from postbacks.insights.saved_views import NewView, ViewRefusedError
from postbacks.models import SavedView

_NOTHING = "\u2013"
COLUMN = "column"  # the parameter of an address, once for each


@dataclass(frozen=True, slots=True)
class ListedView:
    """A saved view as its list offers it."""

    view: SavedView
    address: str
    is_own: bool
    may_delete: bool


@dataclass(frozen=True, slots=True)
class ListChoices:
    """What a person may choose of a list: its columns, and the views."""

    columns: Sequence[tuple[str, bool]]
    views: Sequence[ListedView]
    has_chosen: bool


def chosen_columns(request: HttpRequest, list_name: str, known: Mapping[str, object]) -> list[str]:
    """Return the columns of a list that the address or the person names, none for the usual."""
    names = request.GET.getlist(COLUMN) or saved_views.remembered_columns(
        list_name, user=user_of(request)
    )
    return saved_views.known_columns(dict.fromkeys(names), known)


def choices_of(
    request: HttpRequest, list_name: str, known: Mapping[str, object], chosen: Sequence[str]
) -> ListChoices:
    user = user_of(request)
    may_manage = allowed(request, Right.MANAGE)
    return ListChoices(
        columns=[(name, name in chosen) for name in known],
        views=[
            ListedView(
                view,
                _address_of(view),
                is_own=user is not None and view.owner_ref == user.pk,
                may_delete=saved_views.may_delete(view, user=user, may_manage=may_manage),
            )
            for view in saved_views.views_for(user).filter(list_name=list_name)
        ],
        has_chosen=bool(chosen),
    )


def change_choices(
    request: HttpRequest, list_name: str, filters: Sequence[str], back: str
) -> HttpResponse:
    """Remember columns, or save or delete a view, and return to the list.

    `filters` are the names of the list's own: nothing else of an address is kept.
    """
    user = user_of(request)
    if request.method != "POST" or user is None or not allowed(request, Right.READ):
        raise PermissionDenied
    query = QueryDict(request.POST.get("query", ""))
    chosen = QueryDict(mutable=True)
    chosen.update({name: query[name] for name in query if name in filters})
    match request.POST.get("do"):
        case "columns":
            saved_views.remember_columns(list_name, request.POST.getlist(COLUMN), user=user)
        case "usual":
            saved_views.remember_columns(list_name, [], user=user)
        case "save":
            _save(request, list_name, chosen.dict())
        case "delete":
            _delete(request, list_name)
    return HttpResponseRedirect(f"{back}?{chosen.urlencode()}" if chosen else back)


def cell_text(value: object) -> str:
    """Return a value of a file's column as a list shows it."""
    if value is None or value == "":
        return _NOTHING
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, datetime):
        return timezone.localtime(value).strftime("%b %-d, %Y, %H:%M:%S")
    return str(value)


def _address_of(view: SavedView) -> str:
    query = QueryDict(view.filters, mutable=True)
    query.setlist(COLUMN, saved_views.columns_of(view))
    return f"?{query.urlencode()}"


def _save(request: HttpRequest, list_name: str, filters: dict[str, Any]) -> None:
    name = request.POST.get("name", "")
    view = NewView(
        list_name=list_name,
        name=name,
        filters=filters,
        columns=request.POST.getlist(COLUMN),
        is_shared="shared" in request.POST,
    )
    try:
        saved = saved_views.save_view(view, user=user_of(request))
    except ViewRefusedError as error:
        messages.error(request, str(error))
        return
    ending = ", and everybody in the organization sees it" if saved.is_shared else ""
    messages.success(request, f"The view “{saved}” is saved{ending}.")


def _delete(request: HttpRequest, list_name: str) -> None:
    key = request.POST.get("view", "")
    user = user_of(request)
    views = saved_views.views_for(user).filter(list_name=list_name)
    is_key = key.isascii() and key.isdigit() and len(key) <= 18
    view = views.filter(pk=int(key)).first() if is_key else None
    if view is None:
        return  # somebody else deleted it
    if not saved_views.may_delete(view, user=user, may_manage=allowed(request, Right.MANAGE)):
        raise PermissionDenied
    saved_views.delete_view(view)
    messages.success(request, f"The view “{view}” is deleted.")
