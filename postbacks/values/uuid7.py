"""UUIDs: ids that contain their time, and ids as people write them."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LONGEST = datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH  # so that a span around it has years too


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


def moment_of(uuid: UUID) -> datetime | None:
    """Return the moment that a UUIDv7 carries; None for other versions, and beyond our years."""
    moment = timedelta(milliseconds=uuid.int >> 80)
    return _EPOCH + moment if uuid.version == 7 and moment < _LONGEST else None


def uuid_or_none(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
