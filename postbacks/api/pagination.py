"""Pages of the management API's lists: a keyset page under the API's own cursors and links."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from django.db.models import QuerySet
from rest_framework.pagination import BasePagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param
from rest_framework.views import APIView

from postbacks.api.fields import format_time
from postbacks.api.query import InvalidParameters
from postbacks.insights.keyset import LARGEST_ID, Cursor, KeysetList, KeysetPosition

# In the answer to a search that was stopped: the time of the last row that it has looked at.
SEARCHED_UNTIL = "Searched-Until"


class ApiCursor(msgspec.Struct, frozen=True, array_like=True):
    """A cursor of the API: rows follow this one, or with `backward` lead up to it."""

    backward: bool
    id: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_ID)]
    moment: datetime | None = None

    @property
    def position(self) -> KeysetPosition:
        return KeysetPosition(self.id, self.moment)


class NewestFirst(BasePagination):
    """Cursor pagination over (time, id), or over id alone where rows have no partitions.

    The view sets `time_key = "received_at"` and holds `query.limit` and `query.cursor`.
    """

    def paginate_queryset(  # type: ignore[override]  # a list can't be paged by key
        self, queryset: QuerySet, request: Request, view: APIView | None = None
    ) -> list[Any]:
        """Return one page; `get_paginated_response` then knows its neighbors."""
        cursor = read_cursor(view)
        position = cursor.position if cursor else None
        backward = cursor is not None and cursor.backward
        page = keyset_list(queryset, view).page(
            Cursor(
                after=None if backward else position,
                before=position if backward else None,
                size=view.query.validated_data["limit"],  # type: ignore[union-attr]  # the base viewset's
            ),
            fill=False,
        )
        address = request.build_absolute_uri()
        self.next = link_after(address, page.older)
        if backward and not page.rows:  # nothing is newer: on with the first page
            self.next = remove_query_param(address, "cursor")
        self.previous = _link(address, page.newer, backward=True)
        self.stopped_at = page.stopped_at
        return list(page.rows)

    def get_paginated_response(self, data: object) -> Response:
        neighbors = {"next": self.next, "previous": self.previous}
        response = Response({**neighbors, "results": data})
        if self.stopped_at is not None and self.stopped_at.moment is not None:
            response[SEARCHED_UNTIL] = format_time(self.stopped_at.moment)
        return response

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        neighbor = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": neighbor, "previous": neighbor, "results": schema},
        }


def keyset_list(rows: QuerySet, view: Any) -> KeysetList[Any]:
    """Return the rows in the order that a view lists them in."""
    return KeysetList(
        rows,
        view.time_key,
        searched=view.searched,
        kinds=view.kinds,
        seconds=view.search_seconds,
        costly=view.is_costly_search,
    )


def read_cursor(view: Any) -> ApiCursor | None:
    """Return the cursor of the view's query, None at the top. Raises InvalidParameters."""
    text = view.query.validated_data.get("cursor")
    return _decode(text, timed=view.time_key is not None) if text else None


def link_after(address: str, position: KeysetPosition | None) -> str | None:
    """Return the address with a cursor from which the rows after a position follow."""
    return _link(address, position, backward=False)


def _link(address: str, position: KeysetPosition | None, *, backward: bool) -> str | None:
    if position is None:
        return None
    cursor = ApiCursor(backward, position.id, position.moment)
    text = base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")
    return replace_query_param(address, "cursor", text)


def _decode(text: str, *, timed: bool) -> ApiCursor:
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        cursor = msgspec.json.decode(data, type=ApiCursor)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        raise InvalidParameters({"cursor": "The cursor can't be read; follow “next”."}) from None
    if timed != (cursor.moment is not None):
        raise InvalidParameters({"cursor": "The cursor belongs to another list."})
    if cursor.moment is not None and cursor.moment.tzinfo is None:
        return ApiCursor(cursor.backward, cursor.id, cursor.moment.replace(tzinfo=UTC))
    return cursor
