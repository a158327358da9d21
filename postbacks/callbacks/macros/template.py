"""What a callback rule says about its request, before any value is known."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from postbacks.values.rule_choices import BodyType, MissingValues


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
