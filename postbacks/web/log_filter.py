"""Keeps the keys in URLs out of the log, to which web servers write each URL."""

import logging
import re

_KEY_IN_LINK = re.compile(
    r"(/accounts/(?:invitation|password/reset/key)/|\bapi_key=)[^\s/?&\"']+", re.IGNORECASE
)


class HideKeysInLinks(logging.Filter):
    """Masks the key of an invitation's or a password's link, and Tenjin's, in every line."""

    def filter(self, record: logging.LogRecord) -> bool:
        line = record.getMessage()
        hidden = _KEY_IN_LINK.sub(r"\1•••", line)
        if hidden != line:
            record.msg, record.args = hidden, ()
        return True


_FILTER = HideKeysInLinks()


def hide_keys_of_web_server() -> None:
    """Filter gunicorn's own lines, if it writes any, in the same way."""
    for name in ("gunicorn.access", "gunicorn.error"):
        logging.getLogger(name).addFilter(_FILTER)
