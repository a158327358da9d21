"""Waits as people write them: 5s, 2m, 1h. Stored in seconds."""

import re
from collections.abc import Iterable

MOST_WAITS = 24
LONGEST_WAIT = 86_400

_SECONDS = {"": 1, "s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "d": 86_400}
_WAIT = re.compile(r"([0-9]{1,6})\s*([a-z]*)", re.IGNORECASE)


def read_waits(text: str) -> list[int]:
    """Return seconds. Raises ValueError with a sentence for people."""
    waits = [_read(part.strip()) for part in text.split(",") if part.strip()]
    if len(waits) > MOST_WAITS:
        raise ValueError(f"Write at most {MOST_WAITS} waits; these are {len(waits)}.")
    return waits


def show_waits(seconds: Iterable[int]) -> str:
    """Return waits as they are best read, each in the largest unit that fits without rest."""
    return ", ".join(_show(wait) for wait in seconds)


def _read(text: str) -> int:
    found = _WAIT.fullmatch(text)
    if found is None or found[2].lower() not in _SECONDS:
        raise ValueError(f"“{text[:20]}” is not a wait such as 30s, 2m or 1h.")
    seconds = int(found[1]) * _SECONDS[found[2].lower()]
    if not 1 <= seconds <= LONGEST_WAIT:
        raise ValueError(f"“{text[:20]}”: a wait is between 1 second and 24 hours.")
    return seconds


def _show(seconds: int) -> str:
    for unit in ("h", "m"):
        if seconds and seconds % _SECONDS[unit] == 0:
            return f"{seconds // _SECONDS[unit]}{unit}"
    return f"{seconds}s"
