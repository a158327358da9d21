"""A name as a stranger writes it, and what it would become on a page that trusts it."""

from html.parser import HTMLParser

HOSTILE = """"><div x-data="alert(1)" x-init='alert(2)'>{{ 7*7 }}</script><b title="'+alert(3)+'"""
_TURNS = "\N{RIGHT-TO-LEFT OVERRIDE}"
_MARKS = f"{_TURNS}\N{RIGHT-TO-LEFT ISOLATE}\N{ARABIC LETTER MARK}\N{ZERO WIDTH SPACE}\x1b"
# Markup last: a column that is too short for all of it keeps the marks.
ENDLESS = f"{_MARKS}{HOSTILE}{'W' * 10_000}{HOSTILE}"


class _Finder(HTMLParser):
    """Collects what a hostile name would become if it were markup or Alpine's code."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_code = name.startswith(("x-", "@", ":", "on", "hx-"))
            if is_code and "alert(" in (value or ""):
                self.found.append(f"<{tag} {name}={value}>")


def code_in(page: str) -> list[str]:
    """Return what of a hostile name came onto a page as code."""
    finder = _Finder()
    finder.feed(page)
    raw = ['x-data="alert(1)"'] if 'x-data="alert(1)"' in page else []
    return [*finder.found, *raw, *(["49"] if ">49<" in page else [])]
