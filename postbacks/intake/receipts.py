"""What a request that reports events or touchpoints is answered."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing wrong with one field: a JSON pointer into the item, and what helps."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Rejection:
    """An item that was refused; `index` counts within the request."""

    index: int
    errors: tuple[FieldError, ...]
    item: object = None  # as it arrived


@dataclass(frozen=True, slots=True)
class FieldWarning:
    """A remark on a field of an item that was accepted all the same.

    `is_left_out_id`: the field was left out, since what it held is no id.
    """

    index: int
    pointer: str
    detail: str
    is_left_out_id: bool = False


@dataclass(frozen=True, slots=True)
class Receipt:
    """The result for a whole request; `ids` has one entry per item, None where rejected."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejection, ...]
    ids: tuple[str | None, ...]
    warnings: tuple[FieldWarning, ...]


def json_pointer(name: str) -> str:
    """Return the JSON pointer to a field whose name the client chose (RFC 6901)."""
    return "/" + name.replace("~", "~0").replace("/", "~1")
