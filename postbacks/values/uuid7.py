"""UUIDs: ids that contain their time, and ids as people write them."""

import secrets
from datetime import datetime
from uuid import UUID


def uuid7(moment: datetime) -> UUID:
    """Return a UUIDv7 (RFC 9562) of this moment: 48 bits of milliseconds, 74 random bits.

    A postback's id carries its event's `received_at`, so that a look-up reaches one partition.
    """
    milliseconds = int(moment.timestamp() * 1000)
    random = secrets.randbits(74)
    value = (
        milliseconds << 80 | 0x7 << 76 | (random >> 62) << 64 | 0b10 << 62 | random & (1 << 62) - 1
    )
    return UUID(int=value)


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
