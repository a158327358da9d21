"""Where links may lead."""

import pytest

from apps_registry import links


@pytest.mark.parametrize(
    "address",
    ["https://go.example.com", "https://GO.example.com/a?b#c", "gemharbor://", "GemHarbor://shop"],
)
def test_an_address_within_the_allowed_places_fits(address: str) -> None:
    assert links.is_allowed(address, ["gemharbor://", "https://go.example.com"])


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/shop",
        "//go.example.com",
        "http://go.example.com",
        "https://example.com",
        "https://go.example.com.evil.example.com",
        "https://evil.example.com/https://go.example.com",
        "https://go.example.com@evil.example.com",
        "https://go.example.com:8443",
        "https:go.example.com",
        "https://[go.example.com",
        "gemharbors://shop",
        "gemharbor:shop",
        "javascript:alert(1)",
    ],
)
def test_any_other_address_does_not(address: str) -> None:
    assert not links.is_allowed(address, ["gemharbor://", "https://go.example.com"])


def test_nothing_that_a_browser_runs_fits_even_where_it_was_allowed() -> None:
    assert not links.is_allowed("javascript://%0aalert(1)", ["javascript://"])
    assert not links.is_allowed("data://text/html,x", ["data://"])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("https://go.example.com:99999/a", "“99999” is not a port"),
        ("http://go.example.com:0", "“0” is not a port"),
        ("https://go.example.com:65536?a=1", "“65536” is not a port"),
        ("HTTPS://[2001:db8::7]:70000/", "“70000” is not a port"),
        ("https://go.example.com/?a=1&amp;b=2", "as in https://go.example.com/?a=1&b=2"),
        ("https://go.example.com/?a=1&amp;amp;b=2", "as in https://go.example.com/?a=1&b=2"),
        ("gemharbor://shop?a=1&AMP;b=2", "as in gemharbor://shop?a=1&b=2"),
    ],
)
def test_a_pasted_address_names_its_port_or_its_entity_as_the_fault(
    address: str, words: str
) -> None:
    (error,) = links.address_errors(address)

    assert words in error


@pytest.mark.parametrize(
    "address",
    [
        *("https://go.example.com", "https://go.example.com:8443/a?b=1&c=2", "gemharbor://shop:0"),
        *("https://[2001:db8::7]/", "https://go.example.com/a:99999", "https://a.example/?amp=1"),
        *("https://go.example.com:65535", "", "https://a.example/?u=http://b.example:99999"),
    ],
)
def test_an_address_without_a_fault_has_no_error(address: str) -> None:
    assert list(links.address_errors(address)) == []
