"""Keeps keys that stand in addresses out of the log, where servers write what was asked for."""

import logging
import re

_KEY_IN_LINK = re.compile(
    r"(/accounts/(?:invitation|password/reset/key)/|\bapi_key=)[^\s/?&\"']+", re.IGNORECASE
)


class HideKeysInLinks(logging.Filter):
    """Replaces the key of an invitation's or a password's link, and Tenjin's, in every line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through, without keys."""
        line = record.getMessage()
        hidden = _KEY_IN_LINK.sub(r"\1•••", line)
        if hidden != line:
            record.msg, record.args = hidden, ()
        return True


_FILTER = HideKeysInLinks()


def hide_keys_of_web_server() -> None:
    """Have gunicorn's own lines, if it writes any, go through the same filter."""
    for name in ("gunicorn.access", "gunicorn.error"):
        logging.getLogger(name).addFilter(_FILTER)
