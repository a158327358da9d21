"""The event that everybody is sent, the address that it is told to, the references' key."""

import json
import uuid

REFERENCE_KEY = "the-key-of-the-benchmark"
EVENTS_PATH = "/api/v1/events"
BATCH = 100
FIRST_ONES = 4  # by which a cluster shows that it works

PATH = (  # both sides know these macros by the same names
    "/postback?id={{idfa}}&ip={{ip_address}}&event={{event_name}}"
    "&revenue={{revenue}}&currency={{currency}}&key={{event_id}}"
)

_EVENTS_PER_DEVICE = 5


def event(number: int) -> dict[str, object]:
    """Return one purchase of about 400 bytes with a fresh id; each device makes five in a row."""
    device = f"{number // _EVENTS_PER_DEVICE:012d}"
    return {
        "event_id": str(uuid.uuid4()),
        "event_name": "purchase",
        "install_id": f"device-{device}",
        "idfa": f"6D92078A-8246-4BA4-AE5B-{device}",
        "ip_address": "203.0.113.7",
        "user_agent": "GemHarbor/4.2 (iPhone; iOS 18.1)",
        "revenue": "4.99",
        "currency": "EUR",
        "params": {"level": 12, "product": "gems-500", "store": "app-store"},
    }


def batches(count: int) -> list[bytes]:
    """Return so many events as bodies of 100 events each."""
    bodies = (range(first, first + BATCH) for first in range(0, count, BATCH))
    return [json.dumps([event(number) for number in numbers]).encode() for numbers in bodies]
