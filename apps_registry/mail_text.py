"""Names in mails: whoever gave them must not be able to write the mail around them."""

import unicodedata

_LONGEST = 160
_MARKS = "\N{LEFT-TO-RIGHT MARK}\N{RIGHT-TO-LEFT MARK}\N{ARABIC LETTER MARK}"
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def one_line(text: str) -> str:
    """Return a text as a single line that turns nothing around, cut where it has no end.

    A line end would add a header to a subject, or a paragraph of a stranger's to a mail of ours.
    """
    line = " ".join("".join(one for one in text if _stays(one)).split())
    line = line.replace("=?", "= ?")  # so begins a header's own way of hiding letters (RFC 2047)
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _stays(one: str) -> bool:
    if one in _MARKS or unicodedata.bidirectional(one) in _TURNING:
        return False
    return one.isspace() or unicodedata.category(one) != "Cc"
