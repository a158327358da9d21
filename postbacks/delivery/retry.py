"""Says when to try again: a schedule, a little spread, and the partner's Retry-After."""

from collections.abc import Sequence
from hashlib import blake2b

from postbacks.values.rule_choices import DEFAULT_DELAYS

__all__ = ["DEFAULT_DELAYS", "LONGEST_HINT", "next_delay"]

LONGEST_HINT = 6 * 3600
_SPREAD = 0.2


def next_delay(
    *,
    attempts_made: int,
    delays: Sequence[int],
    seed: str,
    retry_after: float | None = None,
) -> float | None:
    """Return the seconds until the next try, None when no try is left.

    `attempts_made` includes the one just made. `delays` are the rule's waits in seconds, each
    spread by ±20 % so that an outage's postbacks don't return as one wave. The spread follows from
    `seed` (the postback's id) and the attempt, so every process computes the same time.
    `retry_after` is the partner's hint in seconds; it can lengthen a wait, up to six hours.
    """
    if attempts_made < 1:
        raise ValueError("A delay comes after an attempt.")
    if attempts_made > len(delays):
        return None
    scheduled = delays[attempts_made - 1] * _spread_factor(f"{seed}:{attempts_made}")
    return max(scheduled, min(retry_after or 0.0, LONGEST_HINT))


def _spread_factor(seed: str) -> float:
    number = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest())
    return 1 - _SPREAD + 2 * _SPREAD * (number / 2**64)
