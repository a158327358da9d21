"""Pages of a log by key: each begins where the last one ended, however many rows came in between.

A page costs the same at the end of a log as at its beginning: nothing is counted and nothing is
skipped. A search whose matches are rare stops after `MOST_LOOKED_AT` rows and says how far it got.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeVar

from django.db.models import Model, Q, QuerySet

M = TypeVar("M", bound=Model)

PAGE_SIZE = 50
# The first step is as long as most searches need, the second bounds what one page may cost.
_STEPS = (20_000, 230_000)
MOST_LOOKED_AT = sum(_STEPS)
_BIGGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class KeysetPosition:
    """A row's place in a log."""

    id: int
    moment: datetime

    def encode(self) -> str:
        """Return the place as it stands in an address."""
        moment = self.moment.astimezone(UTC).isoformat()
        return base64.urlsafe_b64encode(f"{self.id} {moment}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the place that an address names, or raise ValueError."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            number, _, moment = data.decode("ascii").partition(" ")
            place = cls(int(number), datetime.fromisoformat(moment))
        except (binascii.Error, UnicodeError, OverflowError):
            raise ValueError("This is no place in a log.") from None
        if place.moment.tzinfo is None or not 0 <= place.id <= _BIGGEST_ID:
            raise ValueError("This is no place in a log.")
        return place


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page begins: after a place (older rows), before one (newer rows), or at the top.

    `size` is how many rows it has at most.
    """

    after: KeysetPosition | None = None
    before: KeysetPosition | None = None
    size: int = PAGE_SIZE


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """One page, newest first, and the places from which its neighbors go on.

    `looked_to` is set when a search stopped before the page was full: it is where it stopped, on
    the way to older rows or, with `looked_ahead`, to newer ones.
    """

    rows: Sequence[M] = ()
    newer: KeysetPosition | None = None
    older: KeysetPosition | None = None
    looked_to: KeysetPosition | None = None
    looked_ahead: bool = False
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class Log(Generic[M]):
    """What is paged through: `rows` are wanted, and lie within `span`, which is what is searched.

    Both are of one table. Without a `span`, matches are found through an index or are all rows,
    and nothing needs a bound. `time_key` names the column of time.
    """

    rows: "QuerySet[M]"
    time_key: str
    span: "QuerySet[M] | None" = None

    def page(self, cursor: Cursor) -> KeysetPage[M]:
        """Return the page at a cursor."""
        if cursor.before is not None:
            return self._page_before(cursor.before, cursor.size)
        return self._page_after(cursor.after, cursor.size)

    def _page_after(self, start: KeysetPosition | None, size: int) -> KeysetPage[M]:
        rows, stopped = self._look(start, size, backward=False)
        more = len(rows) > size
        rows = rows[:size]
        return KeysetPage(
            rows=rows,
            newer=self._place(rows[0]) if rows and start is not None else None,
            older=self._place(rows[-1]) if more else stopped,
            looked_to=None if more else stopped,
            is_first=start is None,
        )

    def _page_before(self, start: KeysetPosition, size: int) -> KeysetPage[M]:
        rows, stopped = self._look(start, size, backward=True)
        more = len(rows) > size
        if not more and stopped is None:
            return self._page_after(None, size)  # the newest rows, in a page that is full
        rows = rows[:size][::-1]
        return KeysetPage(
            rows=rows,
            newer=self._place(rows[0]) if more else stopped,
            older=self._place(rows[-1]) if rows else start,
            looked_to=None if more else stopped,
            looked_ahead=not more,
            is_first=False,
        )

    def _look(
        self, start: KeysetPosition | None, size: int, *, backward: bool
    ) -> tuple[list[M], KeysetPosition | None]:
        """Return at most one row more than a page has, and where the search was stopped."""
        found: list[M] = []
        for step in _STEPS if self.span is not None else (None,):
            end = self._end_of_step(start, step, backward=backward) if step else None
            wanted = size + 1 - len(found)
            found += self._between(start, end, backward=backward)[:wanted]
            if end is None or len(found) > size:
                return found, None
            start = end
        return found, start

    def _end_of_step(
        self, start: KeysetPosition | None, step: int, *, backward: bool
    ) -> KeysetPosition | None:
        """Return the place of the last row that a step looks at, None if it sees all that is left.

        It reads the index alone, and at most as many entries as the step is long.
        """
        span = self._ordered(self.span, backward=backward)
        if start is not None:
            span = span.filter(self._side("gt" if backward else "lt", start))
        for key in span.values_list(*self._keys)[step - 1 : step]:
            return KeysetPosition(key[1], key[0])
        return None

    def _between(
        self, start: KeysetPosition | None, end: KeysetPosition | None, *, backward: bool
    ) -> "QuerySet[M]":
        """Return the wanted rows beyond a place and up to another, nearest first."""
        rows = self._ordered(self.rows, backward=backward)
        if start is not None:
            rows = rows.filter(self._side("gt" if backward else "lt", start))
        if end is not None:
            rows = rows.filter(self._side("lte" if backward else "gte", end))
        return rows

    def _ordered(self, rows: Any, *, backward: bool) -> "QuerySet[M]":
        ordered: QuerySet[M] = rows.order_by(*(k if backward else f"-{k}" for k in self._keys))
        return ordered

    def _side(self, side: str, place: KeysetPosition) -> Q:
        strictly = side.removesuffix("e")
        # The first condition looks superfluous; it is what partitions are chosen by.
        return Q(**{f"{self.time_key}__{strictly}e": place.moment}) & (
            Q(**{f"{self.time_key}__{strictly}": place.moment})
            | Q(**{self.time_key: place.moment, f"id__{side}": place.id})
        )

    @property
    def _keys(self) -> tuple[str, ...]:
        return (self.time_key, "id")

    def _place(self, row: M) -> KeysetPosition:
        return KeysetPosition(row.pk, getattr(row, self.time_key))
