"""Reads queries that were copied out of HTML, where &amp; stands for &.

Such a query is split at its ampersands, and the names after the first begin with `amp;`. No tool
has parameters of such names.
"""

import re
from typing import Final

_REST_OF_ENTITY: Final = re.compile(r"(?:amp;)+", re.IGNORECASE)

READ_AS_MEANT: Final = "&amp; in the address was read as &."


def without_entity(name: str) -> str:
    """Return a parameter's name as it was meant."""
    entity = _REST_OF_ENTITY.match(name)
    return name if entity is None else name[entity.end() :]


def holds_entity(query: str) -> bool:
    """Tell whether a query was copied out of HTML."""
    return "&amp;" in query.lower()
