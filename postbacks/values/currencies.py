"""How many digits after the point a currency's amounts have: ISO 4217's minor units."""

from typing import Final

_USUAL: Final = 2
_OTHERS: Final = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_DIGITS: Final = {code: digits for digits, codes in _OTHERS.items() for code in codes.split()}


def minor_digits(currency: str) -> int:
    """Return the digits: 0 for JPY, 2 for EUR, 3 for KWD."""
    return _DIGITS.get(currency, _USUAL)
