"""Pages by key: each begins where the last one ended, however many rows came in between.

A page costs the same at the end of a list as at its beginning, and on the partitioned logs it
touches only the days that it shows.
"""

import base64
import binascii
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from django.db.models import Model, Q, QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from postbacks.api.query import BadParameters


class CursorPosition(msgspec.Struct, frozen=True, array_like=True):
    """A row's place in a list: the row itself is not on the page that begins here."""

    backward: bool
    id: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    moment: datetime | None = None


class NewestFirst(BasePagination):
    """Cursor pagination over (time, id), or over id alone where rows have no partitions.

    The view says `time_key = "received_at"` and holds `query.limit` and `query.cursor`.
    """

    def paginate_queryset(  # type: ignore[override]  # a list can't be paged by key
        self, queryset: QuerySet, request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return one page; `get_paginated_response` then knows its neighbors."""
        place = self.begin(request, view)
        query = view.query.validated_data  # type: ignore[union-attr]  # the base viewset's
        backward = place is not None and place.backward
        rows = list(self._ordered(queryset, place, backward=backward)[: query["limit"] + 1])
        more = len(rows) > query["limit"]
        self.page = rows[: query["limit"]]
        if backward:
            self.page.reverse()
        self.has_next = more if not backward else True
        self.has_previous = more if backward else place is not None
        return self.page

    def begin(self, request: Request, view: APIView | None) -> CursorPosition | None:
        """Return the place that the query's cursor names, None at the top."""
        self.address = request.build_absolute_uri()
        self.time_key: str | None = view.time_key  # type: ignore[union-attr]  # the base viewset's
        cursor = view.query.validated_data.get("cursor")  # type: ignore[union-attr]  # as above
        return _decode(cursor, timed=self.time_key is not None)

    def rows_after(self, rows: QuerySet, place: CursorPosition | None, size: int) -> list[Any]:
        """Return the next rows beyond a place, newest first."""
        return list(self._ordered(rows, place, backward=False)[:size])

    def place_of(self, row: Model) -> CursorPosition:
        """Return a row's place."""
        return CursorPosition(False, row.pk, getattr(row, self.time_key) if self.time_key else None)

    def cursor_after(self, rows: QuerySet, place: CursorPosition | None, count: int) -> str | None:
        """Return the cursor behind so many rows, None if there are no more. It reads keys alone."""
        keys = ["id", *([self.time_key] if self.time_key else [])]
        ordered = self._ordered(rows, place, backward=False).values_list(*keys)
        found = list(ordered[count - 1 : count + 1])
        return _encode(CursorPosition(False, *found[0])) if len(found) == 2 else None

    def get_paginated_response(self, data: object) -> Response:
        """Return the page with the addresses of its neighbors."""
        return Response({"next": self._next(), "previous": self._previous(), "results": data})

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page."""
        neighbor = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": neighbor, "previous": neighbor, "results": schema},
        }

    def _ordered(self, rows: QuerySet, place: CursorPosition | None, *, backward: bool) -> QuerySet:
        keys = [key for key in (self.time_key, "id") if key]
        ordered = rows.order_by(*(key if backward else f"-{key}" for key in keys))
        if place is None:
            return ordered
        side = "gt" if backward else "lt"
        if self.time_key is None:
            return ordered.filter(**{f"id__{side}": place.id})
        # The first condition looks superfluous; it is what partitions are chosen by.
        return ordered.filter(
            Q(**{f"{self.time_key}__{side}e": place.moment})
            & (
                Q(**{f"{self.time_key}__{side}": place.moment})
                | Q(**{self.time_key: place.moment, f"id__{side}": place.id})
            )
        )

    def _next(self) -> str | None:
        if not self.has_next:
            return None
        return self._link(self.page, -1, backward=False)

    def _previous(self) -> str | None:
        return self._link(self.page, 0, backward=True) if self.has_previous and self.page else None

    def _link(self, page: Sequence[Model], index: int, *, backward: bool) -> str:
        if not page:  # nothing is newer than what we came from: on with the first page
            return remove_query_param(self.address, "cursor")
        row = page[index]
        moment = getattr(row, self.time_key) if self.time_key else None
        cursor = _encode(CursorPosition(backward, row.pk, moment))
        return replace_query_param(self.address, "cursor", cursor)


def _encode(place: CursorPosition) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def _decode(cursor: str | None, *, timed: bool) -> CursorPosition | None:
    if not cursor:
        return None
    try:
        data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        place = msgspec.json.decode(data, type=CursorPosition)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise BadParameters({"cursor": "The cursor can't be read; follow “next”."}) from None
    if timed != (place.moment is not None):
        raise BadParameters({"cursor": "The cursor belongs to another list."})
    if place.moment is not None and place.moment.tzinfo is None:
        return CursorPosition(place.backward, place.id, place.moment.replace(tzinfo=UTC))
    return place
