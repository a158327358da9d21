"""Money of many events in one figure: US dollars by each day's rate, the rest as it came."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal

from postbacks.callbacks.currency.conversion import USD
from postbacks.callbacks.currency.stored_rates import load_rates


@dataclass(frozen=True, slots=True)
class Takings:
    """What some events of one UTC day and one currency brought in all."""

    key: object  # whose
    day: date
    currency: str
    amount: Decimal


@dataclass(slots=True)
class Revenue:
    """Dollars, and by currency what no rate is known for."""

    usd: Decimal = Decimal(0)
    others: dict[str, Decimal] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return it as people read it: $1,234.50 + 12.00 XTS."""
        dollars = f"\N{MINUS SIGN}${-self.usd:,.2f}" if self.usd < 0 else f"${self.usd:,.2f}"
        rest = [f"{amount:,.2f}\N{NO-BREAK SPACE}{name}" for name, amount in self.others.items()]
        return " + ".join([dollars, *rest] if self.usd or not rest else rest)


def in_dollars(takings: Iterable[Takings], *, now: datetime) -> dict[object, Revenue]:
    """Return the revenue of each key, by the rates that are known now."""
    rows = list(takings)
    moments = {row.day: datetime.combine(row.day, time(), UTC) for row in rows}
    rates = load_rates(moments.values())
    found: dict[object, Revenue] = {}
    for row in rows:
        revenue = found.setdefault(row.key, Revenue())
        day = rates.of(moments[row.day], known_at=now)
        dollars = day.convert(row.amount, row.currency, USD) if row.currency else None
        if dollars is None:
            name = row.currency or "without currency"
            revenue.others[name] = revenue.others.get(name, Decimal(0)) + row.amount
        else:
            revenue.usd += dollars
    return found
