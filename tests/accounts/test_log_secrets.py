"""Links that are keys, in lines of the log."""

import logging

import pytest

from postbacks.web.log_filter import HideKeysInLinks, hide_keys_of_web_server


@pytest.mark.parametrize(
    ("address", "redacted"),
    [
        ("/accounts/invitation/pbi_secret", "/accounts/invitation/•••"),
        ("/accounts/password/reset/key/1-secret/", "/accounts/password/reset/key/•••/"),
        ("/v0/event?api_key=pbk_secret&event=a", "/v0/event?api_key=•••&event=a"),
        ("/v0/event?event=a&api_key=pbk_secret HTTP/1.1", "/v0/event?event=a&api_key=••• HTTP/1.1"),
        ("/accounts/invitation/", "/accounts/invitation/"),
        ("/admin/postbacks/event/", "/admin/postbacks/event/"),
    ],
)
def test_a_key_in_a_link_is_hidden(address: str, redacted: str) -> None:
    record = logging.LogRecord("django.request", 30, "", 0, "Refused: %s", (address,), None)

    HideKeysInLinks().filter(record)

    assert record.getMessage() == f"Refused: {redacted}"


@pytest.mark.parametrize("name", ["gunicorn.access", "gunicorn.error"])
def test_a_web_server_hides_them_too(name: str) -> None:
    hide_keys_of_web_server()

    assert any(isinstance(each, HideKeysInLinks) for each in logging.getLogger(name).filters)


def test_the_console_hides_them(settings) -> None:
    assert settings.LOGGING["loggers"]["django.server"]["handlers"] == ["console"]
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["hide_keys"]
