"""The choices of a callback rule: models label them, the stages compare them as enums."""

from enum import StrEnum


class Frequency(StrEnum):
    """How often the events of one device count."""

    EVERY = "every"
    FIRST = "first"


class AttributionScope(StrEnum):
    """Whose installs' events are sent."""

    EVERYONE = "everyone"
    PARTNER = "partner"
    PARTNER_AND_ORGANIC = "partner_and_organic"
    ANY_ATTRIBUTED = "any_attributed"


class WithoutConsent(StrEnum):
    """What to do with an event whose person refused consent."""

    SEND = "send"
    STRIP = "strip"
    SKIP = "skip"


class HttpMethod(StrEnum):
    """The HTTP methods that a rule may send with."""

    GET = "GET"
    POST = "POST"
    PUT = "PUT"
    PATCH = "PATCH"


class BodyType(StrEnum):
    """How the body template is read and encoded."""

    NONE = "none"
    FORM = "form"
    JSON = "json"
    RAW = "raw"


class MissingValues(StrEnum):
    """What to do with a parameter, header or JSON member whose macros have no value."""

    EMPTY = "empty"
    DROP = "drop"


def any_success() -> dict[str, object]:
    """Return the success condition of a new rule: any 2xx."""
    return {"codes": ["2xx"], "body_contains": None, "json_path": None, "json_equals": None}
