"""The choices of a callback rule: models label them, the stages compare them as enums."""

from enum import StrEnum

# Seconds before each new try, about 73 hours in all. Early steps because ad platforms optimize on
# fresh conversions; the tail outlives a partner's bad weekend.
DEFAULT_DELAYS = (5, 30, 120, 600, 1800, 3600, 7200, 18000, 36000, 50400, 72000, 72000)


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
