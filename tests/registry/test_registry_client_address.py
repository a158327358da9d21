"""Where a request comes from."""

import pytest
from django.test import RequestFactory

from apps_registry.client_address import client_address


@pytest.mark.parametrize(
    ("peer", "meant"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("2001:db8::7", "2001:db8::7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),  # IPv4 at a socket that takes both
        ("", None),
    ],
)
def test_an_address_is_read_as_people_know_it(peer: str, meant: str | None) -> None:
    request = RequestFactory().get("/", REMOTE_ADDR=peer)

    assert client_address(request) == meant
