"""Pages of a list by key: each begins where the last one ended, however many rows came in between.

A page costs the same at the end of a list as at its beginning: nothing is counted and nothing is
skipped, and partitioned logs are read only for the days that a page shows. A search whose matches
are rare stops after `MOST_SEARCHED` rows and says how far it got.
"""

import base64
import binascii
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, Self, TypeVar

from django.db.models import Model, Q, QuerySet

M = TypeVar("M", bound=Model)

PAGE_SIZE = 50
# The first step is as long as most searches need, the second bounds what one page may cost.
_STEPS = (20_000, 80_000)
MOST_SEARCHED = sum(_STEPS)
_COSTLY = 5  # so many fewer rows are searched where each is looked up in another table
_TIMED_STEP = 500  # whose texts are read together
LARGEST_ID = 2**63 - 1


@dataclass(frozen=True, slots=True)
class KeysetPosition:
    """A row's position in a list; `moment` is None where a list is in the order of ids."""

    id: int
    moment: datetime | None = None

    def encode(self) -> str:
        """Return the position as the addresses of the admin's pages hold it."""
        moment = self.moment.astimezone(UTC).isoformat() if self.moment else ""
        return base64.urlsafe_b64encode(f"{self.id} {moment}".encode()).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> Self:
        """Return the position in a log that an address names. Raises ValueError."""
        try:
            data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            row_id, _, moment = data.decode("ascii").partition(" ")
            position = cls(int(row_id), datetime.fromisoformat(moment))
        except (binascii.Error, UnicodeError, OverflowError):
            raise ValueError("This is no position in a log.") from None
        if position.moment is None or position.moment.tzinfo is None:
            raise ValueError("This is no position in a log.")
        if not 0 <= position.id <= LARGEST_ID:
            raise ValueError("This is no position in a log.")
        return position


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a page of at most `size` rows begins: after a position, before one, or at the top.

    After a position are older rows, before it newer ones.
    """

    after: KeysetPosition | None = None
    before: KeysetPosition | None = None
    size: int = PAGE_SIZE


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[M]):
    """One page, newest first, and the positions from which its neighbors begin.

    `stopped_at` is set when a search stopped before the page was full. It stopped on the way to
    older rows or, if `stopped_toward_newer`, to newer ones.
    """

    rows: Sequence[M] = ()
    newer: KeysetPosition | None = None
    older: KeysetPosition | None = None
    stopped_at: KeysetPosition | None = None
    stopped_toward_newer: bool = False
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class KeysetList(Generic[M]):
    """A list in descending order of `time_key` and id; without a `time_key` of id alone.

    `rows` are the matches among the rows `searched`, both of one table. Without `searched` an index
    finds the matches, or all rows match, and a page needs no bound. With `seconds` a search is
    bounded by time in place of rows; one that is `costly` looks each row up in another table, and
    searches fewer. Where the index has only the rows of one kind in this order,
    `kinds` are the conditions that part them.
    """

    rows: "QuerySet[M]"
    time_key: str | None
    searched: "QuerySet[M] | None" = None
    kinds: Sequence[Q] = (Q(),)
    seconds: float | None = None
    costly: bool = False

    def page(self, cursor: Cursor, *, fill: bool = True) -> KeysetPage[M]:
        """Return the page at a cursor.

        With `fill`, a page before a position that reaches the top becomes the first page, which is
        full; otherwise it holds only the rows before that position.
        """
        if cursor.before is not None:
            return self._page_before(cursor.before, cursor.size, fill=fill)
        return self._page_after(cursor.after, cursor.size)

    def rows_after(self, start: KeysetPosition | None, size: int) -> list[M]:
        """Return the next rows beyond a position, newest first."""
        return list(self._next(self.rows, size, start))

    def position_of(self, row: M) -> KeysetPosition:
        return KeysetPosition(row.pk, getattr(row, self.time_key) if self.time_key else None)

    def position_after(self, start: KeysetPosition | None, count: int) -> KeysetPosition | None:
        """Return the position `count` rows beyond `start`, None if no row follows it.

        It reads the index alone.
        """
        keys = self.rows.prefetch_related(None).values_list(*self._keys)
        last_and_next = list(self._next(keys, count + 1, start)[count - 1 :])
        return KeysetPosition(*last_and_next[0]) if len(last_and_next) == 2 else None

    def _page_after(self, start: KeysetPosition | None, size: int) -> KeysetPage[M]:
        rows, stopped_at = self._read_page(start, size, backward=False)
        more = len(rows) > size
        rows = rows[:size]
        return KeysetPage(
            rows=rows,
            newer=self.position_of(rows[0]) if rows and start is not None else None,
            older=self.position_of(rows[-1]) if more else stopped_at,
            stopped_at=None if more else stopped_at,
            is_first=start is None,
        )

    def _page_before(self, start: KeysetPosition, size: int, *, fill: bool) -> KeysetPage[M]:
        rows, stopped_at = self._read_page(start, size, backward=True)
        more = len(rows) > size
        if fill and not more and stopped_at is None:
            return self._page_after(None, size)
        rows = rows[:size][::-1]
        return KeysetPage(
            rows=rows,
            newer=self.position_of(rows[0]) if more else stopped_at,
            older=self.position_of(rows[-1]) if rows else start,
            stopped_at=None if more else stopped_at,
            stopped_toward_newer=not more,
            is_first=False,
        )

    def _read_page(
        self, start: KeysetPosition | None, size: int, *, backward: bool
    ) -> tuple[list[M], KeysetPosition | None]:
        """Return at most one row more than a page has, and where the search was stopped."""
        rows: list[M] = []
        for step in self._steps():
            end = self._end_of_step(start, step, backward=backward) if step else None
            rows += self._next(self.rows, size + 1 - len(rows), start, end, backward=backward)
            if end is None or len(rows) > size:
                return rows, None
            start = end
        return rows, start

    def _steps(self) -> Iterator[int | None]:
        """Yield how many rows are searched at once, until the search has cost enough."""
        if self.searched is None:
            yield None
        elif self.seconds is None:
            yield from (max(1, step // (_COSTLY if self.costly else 1)) for step in _STEPS)
        else:
            until = time.monotonic() + self.seconds
            yield _TIMED_STEP
            while time.monotonic() < until:
                yield _TIMED_STEP

    def _end_of_step(
        self, start: KeysetPosition | None, step: int, *, backward: bool
    ) -> KeysetPosition | None:
        """Return the position of the last row that a step searches, None if it reaches the end.

        It reads the index alone, and at most as many entries as the step is long.
        """
        keys = self.searched.values_list(*self._keys)  # type: ignore[union-attr]  # there is a step
        for key in self._next(keys, step, start, backward=backward)[step - 1 :]:
            return KeysetPosition(*key)
        return None

    def _next(
        self,
        rows: "QuerySet[Any]",
        most: int,
        start: KeysetPosition | None,
        end: KeysetPosition | None = None,
        *,
        backward: bool = False,
    ) -> "QuerySet[Any]":
        """Return at most that many rows beyond `start` and up to `end`, nearest first."""
        if start is not None:
            rows = rows.filter(self._side("gt" if backward else "lt", start))
        if end is not None:
            rows = rows.filter(self._side("lte" if backward else "gte", end))
        order = [key if backward else f"-{key}" for key in reversed(self._keys)]
        first, *others = (rows.filter(kind).order_by(*order)[:most] for kind in self.kinds)
        return first.union(*others, all=True).order_by(*order)[:most] if others else first

    def _side(self, side: str, position: KeysetPosition) -> Q:
        if self.time_key is None:
            return Q(**{f"id__{side}": position.id})
        strictly = side.removesuffix("e")
        # The first condition looks superfluous; it is what partitions are chosen by.
        return Q(**{f"{self.time_key}__{strictly}e": position.moment}) & (
            Q(**{f"{self.time_key}__{strictly}": position.moment})
            | Q(**{self.time_key: position.moment, f"id__{side}": position.id})
        )

    @property
    def _keys(self) -> tuple[str, ...]:
        return ("id", self.time_key) if self.time_key else ("id",)
