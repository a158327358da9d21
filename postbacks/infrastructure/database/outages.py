"""Tells the database's own troubles from statements that it refuses.

After an outage the same statement works, so that work waits for its end; a conflict with another
transaction is over at once. What PostgreSQL refuses for its content it refuses again.
"""

from django.db import Error as DatabaseError
from django.db import InterfaceError, OperationalError
from psycopg import errors

_FULL = "The database's disk is full."
_READ_ONLY = "The database is read-only."
_AWAY = "The database can't be reached."
_CONFLICTS = "40"  # the class of SQLSTATE: serialization failures and deadlocks


def is_outage(error: Exception) -> bool:
    """Tell whether the database failed, not a statement: it is away, full, or takes no writes."""
    return isinstance(error, OperationalError | InterfaceError) or _is_read_only(error)


def is_conflict(error: Exception) -> bool:
    """Tell whether PostgreSQL undid a transaction for another's sake: the same works again."""
    return (getattr(error.__cause__, "sqlstate", None) or "").startswith(_CONFLICTS)


def outage_sentence(error: Exception) -> str:
    """Return what is wrong with the database, without its address."""
    if isinstance(_cause(error), errors.DiskFull):
        return _FULL
    return _READ_ONLY if _is_read_only(error) else _AWAY


def _is_read_only(error: Exception) -> bool:
    return isinstance(_cause(error), errors.ReadOnlySqlTransaction)


def _cause(error: Exception) -> BaseException | None:
    return error.__cause__ if isinstance(error, DatabaseError) else error
