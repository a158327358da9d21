"""Rates as an operator writes them, and the windows in which they are counted. Plain Python."""

from dataclasses import dataclass

_SECONDS = {"s": 1, "m": 60, "h": 3600}
_OFF = {"off", "none", "0"}
SHORTEST_WINDOW = 10  # seconds: bursts pass, and not every call needs the shared count


@dataclass(frozen=True, slots=True)
class RateLimit:
    """So many calls in so many seconds, on average over `window` seconds."""

    amount: int
    seconds: int

    @property
    def window(self) -> int:
        return max(self.seconds, SHORTEST_WINDOW)

    @property
    def most(self) -> int:
        return self.amount * self.window // self.seconds

    def __str__(self) -> str:
        return f"{self.amount}/{self.seconds}s"


def parse_rate(value: str) -> RateLimit | None:
    """Return the rate of `60/s`, `600/m` or `5000/h`, None for `off`. Raises ValueError."""
    if value.strip().lower() in _OFF:
        return None
    amount, _, unit = value.strip().partition("/")
    if not amount.isdigit() or int(amount) < 1 or unit not in _SECONDS:
        raise ValueError(f"“{value}” is no rate; write one like 60/s, 600/m, 5000/h, or off.")
    return RateLimit(int(amount), _SECONDS[unit])
