"""Numbers as parameters write them."""

from collections.abc import Callable
from decimal import Context, Decimal, InvalidOperation, localcontext

_EXACT = Context(prec=60)


def number(value: object) -> Decimal | None:
    """Return a text or a number as an exact number; None if it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    try:
        found = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


def exact(calculate: Callable[[], Decimal]) -> Decimal | None:
    """Return what a calculation gives without rounding; None where that is beyond all money."""
    with localcontext(_EXACT):
        try:
            return calculate()
        except ArithmeticError:
            return None
