"""Keeps links that are keys out of the log, where Django writes what it refuses."""

import logging
import re

_KEY_IN_LINK = re.compile(r"(/accounts/(?:invitation|password/reset/key)/)[^\s/?\"']+")


class HideKeysInLinks(logging.Filter):
    """Replaces the key of an invitation's or a password's link, wherever a line quotes it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every line through, without keys."""
        line = record.getMessage()
        hidden = _KEY_IN_LINK.sub(r"\1•••", line)
        if hidden != line:
            record.msg, record.args = hidden, ()
        return True
