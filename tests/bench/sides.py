"""One of those who are measured, seen the same way whoever it is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import psycopg
from psycopg.rows import class_row


@dataclass(frozen=True, slots=True)
class Moments:
    """When what happened to one event, in seconds since the epoch."""

    event_id: str
    committed: float
    begun: float | None  # of its attempt; a reference keeps no such time
    logged: float


@dataclass(slots=True)
class Side:
    """Somebody who takes events over HTTP, owes postbacks, delivers and logs them.

    `owe` stores so many postbacks in one transaction and returns the moment of its commit, in
    seconds since the epoch. `busy` asks whether anything is not acknowledged yet. `last` is the id
    of the postback that was made last; `logged` counts delivered ones after %(last)s, so that
    counting takes no longer the more were measured before. `moments` gives of each of their events
    its id and, in seconds since the epoch, when it was committed, when its attempt began, if that
    is known, and when that was committed.
    """

    name: str
    conninfo: str  # of the superuser, whom no policy concerns
    port: int
    key: str
    owe: Callable[[int], float]
    busy: str
    last: str
    logged: str
    moments: str
    _connection: psycopg.Connection | None = field(default=None, init=False)

    def is_idle(self) -> bool:
        """Tell whether everything has been sent, logged and acknowledged."""
        return not self._single_value(self.busy)

    def last_postback(self) -> int:
        """Return the id of the postback that was made last; 0 if there is none."""
        return int(str(self._single_value(self.last) or 0))

    def count_logged(self, *, after: int) -> int:
        """Return how many later postbacks were delivered and have their attempt."""
        return int(str(self._single_value(self.logged, last=after)))

    def moments_of_events(self, *, after: int) -> list[Moments]:
        """Return when what happened to the events of later postbacks."""
        connection = self._connected()
        with connection.cursor(row_factory=class_row(Moments)) as cursor:
            return cursor.execute(self.moments, {"last": after}).fetchall()

    def close(self) -> None:
        """Close the connection that looks."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _single_value(self, query: str, **values: object) -> object:
        row = self._connected().execute(query, values).fetchone()
        return row[0] if row else None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(self.conninfo, autocommit=True)
        return self._connection
