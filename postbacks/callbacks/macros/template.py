"""What a callback rule says about its request, before any value is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class BodyType(StrEnum):
    """This is how the body template is read and encoded."""

    NONE = "none"
    FORM = "form"
    JSON = "json"
    RAW = "raw"


class MissingValues(StrEnum):
    """This is what becomes of a parameter, header or JSON member whose macros have no value."""

    EMPTY = "empty"
    DROP = "drop"


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """This is a request with macros in it, as a person wrote it."""

    method: str = "GET"
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body_type: BodyType = BodyType.NONE
    body: str = ""
    missing_values: MissingValues = MissingValues.EMPTY
    authentication: Mapping[str, str] = field(default_factory=dict)
