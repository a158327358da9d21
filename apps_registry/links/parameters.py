"""The query parameters that a network adds to a link, as people type them. Plain Python."""

import re
from collections.abc import Iterator

MAX_LENGTH = 2_000
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def normalized(text: str) -> str:
    """Return the parameters without surrounding spaces, “?” and “&”."""
    return text.strip().lstrip("?&").rstrip("&")


def errors(text: str) -> Iterator[str]:
    """Yield a sentence for each error in the parameters."""
    if len(text) > MAX_LENGTH:
        yield f"These are {len(text):,} characters; browsers and networks take {MAX_LENGTH:,}."
    if re.search(r"[\s#]", text) or not text.isprintable():
        yield "Leave out spaces, line breaks and “#”; write %20 for a space."
        return
    names: set[str] = set()
    for pair in text.split("&") if text else ():
        name, _, value = pair.partition("=")
        yield from _pair_errors(name, value, is_repeated=name in names)
        names.add(name)


def _pair_errors(name: str, value: str, *, is_repeated: bool) -> Iterator[str]:
    if not _NAME.fullmatch(name):
        yield f"“{name[:80]}” is no name of a parameter. Write name=value, with & between pairs."
    elif is_repeated:
        yield f"“{name}” is there twice; which of them should count?"
    elif not value:
        yield f"“{name}” has no value. Write the network's macro there, as in {name}={{macro}}."
    elif "{{" in value:
        yield (
            f"“{value[:80]}” is a macro of callback rules. The network knows only its own, for "
            "example {clickid}."
        )
