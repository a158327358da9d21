"""Which destinations may be reached: an explicit table, because Python's own flags move.

`ipaddress.is_private` changed its answers between patch releases and misses carrier-grade NAT,
NAT64, 6to4 and multicast. IPv4 lists what is refused; IPv6 lists what is allowed, which ends the
hunt for one more spelling of 127.0.0.1. Sources: IANA's special-purpose address registries.
"""

from collections.abc import Collection, Sequence
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)

from postbacks.delivery.http.request_guard import Origin, origin_of

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

DEFAULT_PORTS = frozenset({80, 443, 8080, 8443})

_REFUSED_IPV4 = {
    IPv4Network("0.0.0.0/8"): "this network",
    IPv4Network("10.0.0.0/8"): "private",
    IPv4Network("100.64.0.0/10"): "carrier-grade NAT",
    IPv4Network("127.0.0.0/8"): "loopback",
    IPv4Network("169.254.0.0/16"): "link-local or cloud metadata",
    IPv4Network("172.16.0.0/12"): "private",
    IPv4Network("192.0.0.0/24"): "protocol assignments",
    IPv4Network("192.0.2.0/24"): "documentation",
    IPv4Network("192.31.196.0/24"): "AS112",
    IPv4Network("192.52.193.0/24"): "multicast tunneling",
    IPv4Network("192.88.99.0/24"): "6to4 relays",
    IPv4Network("192.168.0.0/16"): "private",
    IPv4Network("192.175.48.0/24"): "AS112",
    IPv4Network("198.18.0.0/15"): "benchmarking",
    IPv4Network("198.51.100.0/24"): "documentation",
    IPv4Network("203.0.113.0/24"): "documentation",
    IPv4Network("224.0.0.0/4"): "multicast",
    IPv4Network("240.0.0.0/4"): "reserved",
}
_GLOBAL_IPV6 = IPv6Network("2000::/3")
_REFUSED_IPV6 = {
    IPv6Network("2001::/23"): "protocol assignments",
    IPv6Network("2001:db8::/32"): "documentation",
    IPv6Network("2002::/16"): "6to4",
    IPv6Network("2620:4f:8000::/48"): "AS112",
    IPv6Network("3fff::/20"): "documentation",
}
_IPV4_LOOPBACK = IPv4Network("127.0.0.0/8")
_IPV6_LOOPBACK = IPv6Network("::1/128")
_NAT64 = IPv6Network("64:ff9b::/96")

_INTERNAL_SUFFIXES = (
    ".local",
    ".localhost",
    ".internal",
    ".lan",
    ".home.arpa",
    ".corp",
    ".consul",
    ".svc.cluster.local",
)


class Destinations:
    """Which addresses, ports and names may be reached; the operator's networks win."""

    __slots__ = ("allowed_networks", "allowed_ports")

    def __init__(
        self,
        allowed_networks: Sequence[Network] = (),
        allowed_ports: Collection[int] | None = None,
    ) -> None:
        networks = tuple(allowed_networks)
        # One machine, two spellings: "localhost" often has both, and one refused refuses the name.
        if any(_covers(network, _IPV4_LOOPBACK) for network in networks):
            networks += (_IPV6_LOOPBACK,)
        self.allowed_networks = networks
        self.allowed_ports = DEFAULT_PORTS if allowed_ports is None else frozenset(allowed_ports)

    def refuse(self, address: str) -> str | None:
        """Return why this IP address may not be connected to, None when it may."""
        try:
            ip = _unmapped(ip_address(address))
        except ValueError:
            return f"{address} is not an IP address."
        if ip in _NAT64 and self._allows(ip):
            # An open NAT64 leads to IPv4, but not to the IPv4 addresses that are refused here.
            ip = IPv4Address(int(ip) & 0xFFFF_FFFF)
        if self._allows(ip):
            return None
        kind = _refused_kind(ip)
        return f"{address} is not a public address ({kind})." if kind else None

    def refuse_port(self, port: int, address: str | None = None) -> str | None:
        """Return why this port may not be used, None when it may.

        At an address inside the operator's networks any port may: they say what runs there.
        """
        if port in self.allowed_ports:
            return None
        if address is not None and self._allows(_unmapped(ip_address(address))):
            return None
        allowed = ", ".join(str(allowed) for allowed in sorted(self.allowed_ports))
        return f"Port {port} is not allowed; allowed are {allowed}."

    def refuse_name(self, host: str) -> str | None:
        """Return why a name (not an IP address) may not be looked up, None when it may.

        Names of a private network make sense only where the operator has opened one, and
        `localhost` only where that is loopback. Their addresses are judged all the same.
        """
        if not is_internal_name(host):
            return None
        if host == "localhost" or host.endswith(".localhost"):
            allowed = any(network.is_loopback for network in self.allowed_networks)
        else:
            allowed = bool(self.allowed_networks)
        return None if allowed else f"{host} is not a public host name."

    def _allows(self, ip: Address) -> bool:
        return any(ip in network for network in self.allowed_networks)


def is_internal_name(host: str) -> bool:
    """Tell whether a name belongs to a private network: no dot, or a suffix for such use."""
    return "." not in host or host.endswith(_INTERNAL_SUFFIXES)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Return the networks of a comma-separated list such as "127.0.0.0/8, ::1/128".

    Raises ValueError with a sentence that names the wrong entry.
    """
    return tuple(_network(entry.strip()) for entry in text.split(",") if entry.strip())


def problem_with_url(url: str, destinations: Destinations) -> str | None:
    """Return a sentence on why `url` can't be a destination, None when it can be.

    Only the origin is judged, so a template may be passed. This early check only helps the author:
    the guard itself judges the address that the socket connects to.
    """
    try:
        origin = origin_of(url)
    except ValueError as error:
        return str(error)
    if origin.address is not None:
        refusal = destinations.refuse(origin.host)
        return refusal or destinations.refuse_port(origin.port, origin.host)
    return destinations.refuse_name(origin.host) or _refused_port(origin, destinations)


def _refused_port(origin: Origin, destinations: Destinations) -> str | None:
    # Which port an internal name may have depends on its address: judged when connecting.
    return None if is_internal_name(origin.host) else destinations.refuse_port(origin.port)


def _network(entry: str) -> Network:
    try:
        return ip_network(entry)
    except ValueError as error:
        raise ValueError(f"“{entry}” is not a network such as 127.0.0.0/8: {error}.") from None


def _covers(network: Network, inner: IPv4Network) -> bool:
    return isinstance(network, IPv4Network) and inner.subnet_of(network)


def _unmapped(ip: Address) -> Address:
    """Return the IPv4 address inside ::ffff:0:0/96: the kernel connects to that one."""
    return (ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip


def _refused_kind(ip: Address) -> str | None:
    if isinstance(ip, IPv4Address):
        return next((kind for network, kind in _REFUSED_IPV4.items() if ip in network), None)
    if ip not in _GLOBAL_IPV6:
        return "not global unicast"
    return next((kind for network, kind in _REFUSED_IPV6.items() if ip in network), None)
