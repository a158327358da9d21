"""What leaves the house: one request as it goes onto the wire, and its masked twin for people.

Rendering makes it, delivery sends it; neither needs to know the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OutgoingRequest:
    """One HTTP request, complete but for the headers that every postback carries."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Rendering:
    """A request rendered twice from the same values.

    `wire` holds credentials and is never stored; `shown` has `•••` in their place and may be logged.
    `missing` names the macros that had no value, in order of first appearance.
    """

    wire: OutgoingRequest
    shown: OutgoingRequest
    missing: tuple[str, ...] = ()
