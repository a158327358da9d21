"""The parameters that a network adds to a link, as people write them. Plain Python."""

import re
from collections.abc import Iterator

LONGEST = 2_000
_NAME = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")


def tidied(text: str) -> str:
    """Return parameters without what belongs to the address around them."""
    return text.strip().lstrip("?&").rstrip("&")


def problems(text: str) -> Iterator[str]:
    """Yield what is wrong with parameters, one sentence each."""
    if len(text) > LONGEST:
        yield f"These are {len(text):,} characters; browsers and networks take {LONGEST:,}."
    if re.search(r"[\s#]", text) or not text.isprintable():
        yield "Leave out spaces, line breaks and “#”; write %20 for a space."
        return
    seen: set[str] = set()
    for piece in text.split("&") if text else ():
        name, _, value = piece.partition("=")
        yield from _problems_of(name, value, is_repeated=name in seen)
        seen.add(name)


def _problems_of(name: str, value: str, *, is_repeated: bool) -> Iterator[str]:
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
