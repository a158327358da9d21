"""One of those who are measured, seen the same way whoever it is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import psycopg


@dataclass(slots=True)
class Side:
    """Somebody who takes events over HTTP, owes postbacks, delivers and logs them.

    `owe` stores so many postbacks in one transaction and returns the moment of its commit, in
    seconds since the epoch. `busy` asks whether anything is not acknowledged yet, `logged` counts
    the delivered postbacks, `latencies` gives milliseconds between the commit of an event and that
    of its attempt, for events after %(since)s.
    """

    name: str
    conninfo: str  # of the superuser, whom no policy concerns
    port: int
    key: str
    owe: Callable[[int], float]
    busy: str
    logged: str
    latencies: str
    _connection: psycopg.Connection | None = field(default=None, init=False)

    def is_idle(self) -> bool:
        """Tell whether everything has been sent, logged and acknowledged."""
        return not self._single_value(self.busy)

    def count_logged(self) -> int:
        """Return how many postbacks were delivered and have their attempt, since the start."""
        return int(str(self._single_value(self.logged)))

    def latencies_since(self, moment: datetime) -> list[float]:
        """Return how long each event took from its commit to its attempt's, in milliseconds."""
        rows = self._connected().execute(self.latencies, {"since": moment}).fetchall()
        return [float(milliseconds) for (milliseconds,) in rows]

    def close(self) -> None:
        """Close the connection that looks."""
        if self._connection:
            self._connection.close()
            self._connection = None

    def _single_value(self, query: str) -> object:
        row = self._connected().execute(query).fetchone()
        return row[0] if row else None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None:
            self._connection = psycopg.connect(self.conninfo, autocommit=True)
        return self._connection
