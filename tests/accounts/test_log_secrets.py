"""Links that are keys, in lines of the log."""

import logging

import pytest

from postbacks.log_secrets import HideKeysInLinks


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/accounts/invitation/pbi_secret", "/accounts/invitation/•••"),
        ("/accounts/password/reset/key/1-secret/", "/accounts/password/reset/key/•••/"),
        ("/accounts/invitation/", "/accounts/invitation/"),
        ("/admin/postbacks/event/", "/admin/postbacks/event/"),
    ],
)
def test_a_key_in_a_link_is_hidden(address: str, shown: str) -> None:
    record = logging.LogRecord("django.request", 30, "", 0, "Refused: %s", (address,), None)

    HideKeysInLinks().filter(record)

    assert record.getMessage() == f"Refused: {shown}"


def test_the_console_hides_them(settings) -> None:
    assert settings.LOGGING["handlers"]["console"]["filters"] == ["hide_keys"]
