"""What a copy's conversion value means to its app. Plain Python."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from postbacks.intake.skadnetwork.copies import Copy


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a value means: an event, and what it earned at least and at most."""

    event_name: str = ""
    least_revenue: Decimal | None = None
    most_revenue: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class MeaningRow:
    """A line of a schema: a range of fine values, or a coarse one of one postback or of each."""

    first_value: int | None
    last_value: int | None
    coarse_value: str
    sequence: int | None
    meaning: Meaning


NOTHING = Meaning()


def meaning_of(copy: Copy, schema: Iterable[MeaningRow]) -> Meaning:
    """Return what a copy's value means.

    The fine value says more than the coarse one, and a line for one postback more than one for all.
    """
    lines = list(schema)
    if copy.conversion_value is not None:
        return _fine(copy.conversion_value, lines)
    if not copy.coarse_value:
        return NOTHING
    fitting = [it for it in lines if it.coarse_value == copy.coarse_value]
    for sequence in (copy.sequence, None):
        for line in fitting:
            if line.sequence == sequence:
                return line.meaning
    return NOTHING


def _fine(value: int, lines: Iterable[MeaningRow]) -> Meaning:
    for line in lines:
        first, last = line.first_value, line.last_value
        if first is not None and last is not None and first <= value <= last:
            return line.meaning
    return NOTHING
