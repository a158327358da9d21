"""What can be wrong with one field of an event."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: a JSON pointer into the event, and what helps."""

    pointer: str
    detail: str
