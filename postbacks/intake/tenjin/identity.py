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
from postbacks.values.timestamps import parse_timestamp

_SPACE = uuid.UUID("5f3c7c0e-2d1a-5b7e-9a44-8a0c5b1d7e21")

# What may have become known between a call and its retry, and so says nothing of the event.
_CIRCUMSTANCES = (
    DEVICE.keys()
    | FLAGS
    | SECRETS
    | {TRACKING_STATUS, "advertising_id", "developer_device_id", "signature", "retry_enabled"}
) - {"analytics_installation_id"}


def time_of(parameters: Mapping[str, object], *, now: datetime) -> str | None:
    """Return when the event was sent; None, which is now, if that is not said or not believable."""
    sent_at = parse_timestamp(parameters.get("sent_at"))
    if sent_at is None or sent_at < now - OLDEST:
        return None
    return min(sent_at, now).astimezone(UTC).isoformat(timespec="milliseconds")


def event_id(call: str, parameters: Mapping[str, object], *, app_id: int) -> str | None:
    """Return the id by which a retry of a call is recognized; None if it can't be."""
    if given := parameters.get("event_id"):
        return str(given)
    if not parameters.get("sent_at") or not parameters.get("analytics_installation_id"):
        return None
    said = {name: value for name, value in parameters.items() if name not in _CIRCUMSTANCES}
    text = msgspec.json.encode([app_id, call, said], order="sorted").decode()
    return str(uuid.uuid5(_SPACE, text))
