"""Addresses that hide their user: data centers, VPNs and Tor, as operators list them."""

from bisect import bisect_right
from collections.abc import Iterable
from functools import cache
from ipaddress import IPv4Network, IPv6Network

from django.conf import settings

from apps_registry.addresses import parse_address

Network = IPv4Network | IPv6Network


def is_anonymous(address: str) -> bool:
    """Tell whether an address is in one of the networks of ANONYMOUS_NETWORKS."""
    if not settings.ANONYMOUS_NETWORKS:
        return False
    parsed = parse_address(address)
    if parsed is None:
        return False
    return _Ranges.of(tuple(settings.ANONYMOUS_NETWORKS)).contain(parsed.version, int(parsed))


class _Ranges:
    """Sorted first and last addresses: a list of all Tor exits is searched in microseconds."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._ends: dict[tuple[int, int], int] = {}
        for network in networks:
            first: tuple[int, int] = (network.version, int(network.network_address))
            last = int(network.broadcast_address)
            self._ends[first] = max(last, self._ends.get(first, last))
        self._firsts = sorted(self._ends)
        reached = -1
        version = 0
        for first in self._firsts:  # a network inside another must not hide its end
            reached = self._ends[first] if first[0] != version else max(reached, self._ends[first])
            version, self._ends[first] = first[0], reached

    @staticmethod
    @cache
    def of(networks: tuple[Network, ...]) -> "_Ranges":
        return _Ranges(networks)

    def contain(self, version: int, address: int) -> bool:
        index = bisect_right(self._firsts, (version, address)) - 1
        if index < 0 or self._firsts[index][0] != version:
            return False
        return address <= self._ends[self._firsts[index]]
