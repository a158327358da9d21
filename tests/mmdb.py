"""Writes small MaxMind databases, so that tests need none of MaxMind's.

The format is https://maxmind.github.io/MaxMind-DB/: a binary tree over the bits of addresses with
records of 24 bits, sixteen zero bytes, the data, and the metadata after a marker.
"""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path

_MARKER = b"\xab\xcd\xefMaxMind.com"
_STRING, _MAP, _ARRAY, _UINT16, _UINT32, _UINT64 = 2, 7, 11, 5, 6, 9


def write_mmdb(path: Path, networks: Mapping[str, object], *, kind: str = "Test-Country") -> Path:
    """Write a database of IPv4 and IPv6 networks and what is known of each."""
    nodes: list[list[int | None]] = [[None, None]]
    leaves: dict[tuple[int, int], object] = {}
    for network, record in networks.items():
        _insert(nodes, leaves, network, record)
    data = b""
    values: dict[tuple[int, int], int] = {}
    for place, record in leaves.items():
        values[place] = len(nodes) + 16 + len(data)
        data += _encoded(record)
    tree = b"".join(
        _number(nodes, values, index, bit).to_bytes(3, "big")
        for index in range(len(nodes))
        for bit in (0, 1)
    )
    path.write_bytes(tree + bytes(16) + data + _MARKER + _encoded(_metadata(len(nodes), kind)))
    return path


def _insert(
    nodes: list[list[int | None]], leaves: dict[tuple[int, int], object], text: str, record: object
) -> None:
    network = ip_network(text)
    skipped = 128 - network.max_prefixlen  # IPv4 lies under ::/96
    length = skipped + network.prefixlen
    bits = int(network.network_address)
    node = 0
    for place in range(length):
        bit = bits >> (127 - place) & 1
        if place == length - 1:
            leaves[node, bit] = record
            return
        found = nodes[node][bit]
        if found is None:
            nodes.append([None, None])
            found = nodes[node][bit] = len(nodes) - 1
        node = found


def _number(
    nodes: list[list[int | None]], values: Mapping[tuple[int, int], int], index: int, bit: int
) -> int:
    if (index, bit) in values:
        return values[index, bit]
    child = nodes[index][bit]
    return len(nodes) if child is None else child


def _metadata(node_count: int, kind: str) -> dict[str, object]:
    return {
        "binary_format_major_version": (_UINT16, 2),
        "binary_format_minor_version": (_UINT16, 0),
        "build_epoch": (_UINT64, 1_767_225_600),
        "database_type": kind,
        "description": {"en": "A test's own"},
        "ip_version": (_UINT16, 6),
        "languages": ["en"],
        "node_count": (_UINT32, node_count),
        "record_size": (_UINT16, 24),
    }


def _encoded(value: object) -> bytes:
    if isinstance(value, str):
        return _control(_STRING, len(value.encode())) + value.encode()
    if isinstance(value, Mapping):
        members = b"".join(_encoded(key) + _encoded(member) for key, member in value.items())
        return _control(_MAP, len(value)) + members
    if isinstance(value, list):
        return _control(_ARRAY, len(value)) + b"".join(map(_encoded, value))
    if isinstance(value, tuple):
        kind, number = value
        digits = number.to_bytes((number.bit_length() + 7) // 8, "big")
        return _control(kind, len(digits)) + digits
    raise TypeError(f"{value!r} has no form in these tests' databases.")


def _control(kind: int, size: int) -> bytes:
    if size >= 29:
        size_byte, more = 29, bytes([size - 29])
    else:
        size_byte, more = size, b""
    if kind <= _MAP:
        return bytes([kind << 5 | size_byte]) + more
    return bytes([size_byte, kind - 7]) + more
