"""When an event happened, and how a repeated call is recognized.

Tenjin's API knows no id of a request. Its SDKs send `sent_at`, which a retry repeats: then the id
is made of what the call says, and the retry is a duplicate. Without it two equal calls are two
events, unless the caller adds an `event_id` of its own.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from postbacks.intake.events.validation import OLDEST
from postbacks.intake.tenjin.names import DEVICE, FLAGS, SECRETS, TRACKING_STATUS
from postbacks.intake.tenjin.numbers import number

_SPACE = uuid.UUID("5f3c7c0e-2d1a-5b7e-9a44-8a0c5b1d7e21")
_MILLISECONDS_FROM = 100_000_000_000  # as seconds that would be the year 5138

# What may have become known between a call and its retry, and so says nothing of the event.
_CIRCUMSTANCES = (
    DEVICE.keys()
    | FLAGS
    | SECRETS
    | {TRACKING_STATUS, "advertising_id", "developer_device_id", "signature", "retry_enabled"}
) - {"analytics_installation_id"}


def time_of(parameters: Mapping[str, object], *, now: datetime) -> str | None:
    """Return when the event was sent; None, which is now, if that is not said or not believable."""
    moment = _moment(parameters.get("sent_at"))
    if moment is None or moment < now - OLDEST:
        return None
    return min(moment, now).isoformat(timespec="milliseconds")


def event_id(call: str, parameters: Mapping[str, object], *, app_id: int) -> str | None:
    """Return the id by which a retry of a call is recognized; None if it can't be."""
    if given := parameters.get("event_id"):
        return str(given)
    if not parameters.get("sent_at") or not parameters.get("analytics_installation_id"):
        return None
    said = {name: value for name, value in parameters.items() if name not in _CIRCUMSTANCES}
    text = msgspec.json.encode([app_id, call, said], order="sorted").decode()
    return str(uuid.uuid5(_SPACE, text))


def _moment(value: object) -> datetime | None:
    seconds = number(value)
    try:
        if seconds is not None:
            seconds = seconds / 1000 if abs(seconds) >= _MILLISECONDS_FROM else seconds
            return datetime.fromtimestamp(float(seconds), UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, ArithmeticError, OSError):
        return None
    return moment.astimezone(UTC) if moment and moment.tzinfo else None
