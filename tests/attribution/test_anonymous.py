"""Addresses in the operator's networks are anonymous, and no other."""

from ipaddress import ip_network

import pytest
from pytest_django import Settings

from postbacks.values.anonymous_networks import is_anonymous

_NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.0.0.0", True),
        ("10.1.2.3", True),
        ("10.255.255.255", True),  # behind the end of the inner network
        ("11.0.0.0", False),
        ("9.255.255.255", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8:ffff::1", True),
        ("2001:db9::", False),
        ("::a00:1", False),  # the number of 10.0.0.1, in the other version
        ("nonsense", False),
    ],
)
def test_an_address_is_looked_up(settings: Settings, address: str, expected: bool) -> None:
    settings.ANONYMOUS_NETWORKS = tuple(map(ip_network, _NETWORKS))

    assert is_anonymous(address) is expected


def test_without_a_list_nobody_is_anonymous(settings: Settings) -> None:
    settings.ANONYMOUS_NETWORKS = ()

    assert not is_anonymous("10.0.0.1")
