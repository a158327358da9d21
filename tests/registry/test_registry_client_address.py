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


@pytest.mark.parametrize(
    ("hop", "meant"),
    [
        ("192.0.2.38:49153", "192.0.2.38"),
        ("[2001:db8::7]:8080", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("2001:db8::7", "2001:db8::7"),  # without brackets the last group is no port
        ("2001:DB8:0::7", "2001:db8::7"),
        ("  192.0.2.38 ", "192.0.2.38"),
        ("192.0.2.38 :80", None),
        ('"[::1]:80"', "::1"),
        ('"192.0.2.38:80"', "192.0.2.38"),
        ('"192.0.2.38"', "192.0.2.38"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25eth0]:443", "fe80::1"),
        ("::ffff:222.1.41.90", "222.1.41.90"),
        ("[::ffff:222.1.41.90]:49153", "222.1.41.90"),
        ("::FFFF:de01:295a", "222.1.41.90"),
        ("192.0.2.38:", "192.0.2.38"),
        ("unknown", None),
        ("_hidden", None),
        ("192.0.2.300:80", None),
        ("[192.0.2", None),
        ("", None),
    ],
)
@pytest.mark.parametrize("more", ["", "203.0.113.9, "])
def test_a_proxys_address_is_read_in_each_of_its_spellings(
    settings, hop: str, meant: str | None, more: str
) -> None:
    settings.TRUSTED_PROXY_COUNT = 1
    forwarded = {"HTTP_X_FORWARDED_FOR": more + hop}

    request = RequestFactory().get("/", REMOTE_ADDR="127.0.0.1", **forwarded)

    assert client_address(request) == meant
