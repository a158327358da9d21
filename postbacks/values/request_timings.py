"""How long the parts of a request took, in one number, for a table in which every byte counts.

Four times of 15 bits, in milliseconds: the look-up of the name, the connection, TLS, and the first
byte of the answer since the request began. A part that there was not has all its bits set. An array
of four numbers would take 37 bytes of a row and of the WAL, this takes eight.
"""

from dataclasses import dataclass
from typing import Final

_BITS: Final = 15
_NONE: Final = 2**_BITS - 1
_MOST: Final = _NONE - 1  # 32.8 s; a request may take no longer than 15 s
_NOT_OPENED: Final = (2 ** (3 * _BITS) - 1) << _BITS


@dataclass(frozen=True, slots=True)
class RequestTimings:
    """Milliseconds of each part, None of one that there was not.

    A kept connection has neither look-up nor connection nor TLS, an address no look-up.
    `first_byte_ms` counts from the beginning of the request.
    """

    dns_ms: int | None
    connect_ms: int | None
    tls_ms: int | None
    first_byte_ms: int | None

    @property
    def is_reused(self) -> bool:
        """Tell whether the connection was kept from a request before."""
        return self.connect_ms is None and self.first_byte_ms is not None


def pack(
    *,
    dns: float | None = None,
    connect: float | None = None,
    tls: float | None = None,
    first_byte: float | None = None,
) -> int:
    """Return times in seconds as one number."""
    if dns is connect is tls is None:
        return _NOT_OPENED | _part(first_byte)  # most requests
    opening = (_part(dns) << _BITS | _part(connect)) << _BITS | _part(tls)
    return opening << _BITS | _part(first_byte)


def unpack(packed: int) -> RequestTimings:
    parts = [(packed >> _BITS * place) & _NONE for place in (3, 2, 1, 0)]
    return RequestTimings(*(None if part == _NONE else part for part in parts))


def _part(seconds: float | None) -> int:
    if seconds is None:
        return _NONE
    return min(max(int(seconds * 1000 + 0.5), 0), _MOST)
