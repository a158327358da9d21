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
