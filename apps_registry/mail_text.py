"""Mails to people of an organization; a name must not be able to change the mail around it."""

import unicodedata
from collections.abc import Sequence

from django.core.mail import EmailMessage

_MAX_LENGTH = 160
_DIRECTION_MARKS = "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
_DIRECTION_OVERRIDES = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def one_line(text: str) -> str:
    """Return a text as one line of limited length, without characters that change direction.

    A line end would add a header to a subject, or a stranger's paragraph to our mail.
    """
    line = " ".join("".join(character for character in text if _is_allowed(character)).split())
    line = line.replace("=?", "= ?")  # the start of an encoded word in a header (RFC 2047)
    return line if len(line) <= _MAX_LENGTH else f"{line[: _MAX_LENGTH - 1]}…"


def mail_to_all(addresses: Sequence[str], *, subject: str, body: str) -> EmailMessage:
    """Return one mail to several people, who need not learn each other's addresses from it."""
    return EmailMessage(subject=subject, body=body, to=addresses[:1], bcc=addresses[1:])


def _is_allowed(character: str) -> bool:
    if (
        character in _DIRECTION_MARKS
        or unicodedata.bidirectional(character) in _DIRECTION_OVERRIDES
    ):
        return False
    return character.isspace() or unicodedata.category(character) != "Cc"
