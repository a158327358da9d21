"""The sentences with which values are refused: what was sent, and what to send instead.

Plain Python. A parser's own words name neither, and stop at the first error.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from apps_registry.addresses import parse_forwarded_address
from postbacks.values.currencies import CURRENCIES
from postbacks.values.timestamps import without_offset

_LONGEST_SHOWN: Final = 60
_MOST_BITS: Final = 4_000  # Python writes out no number of more than 4,300 digits
_SIGNS: Final = {
    "€": "EUR",
    "$": "USD",
    "£": "GBP",
    "¥": "JPY",
    "₹": "INR",
    "₴": "UAH",
    "₽": "RUB",
    "₺": "TRY",
    "₩": "KRW",
    "₪": "ILS",
    "R$": "BRL",
    "US$": "USD",
    "zł": "PLN",
    "Kč": "CZK",
}
# A sign or a code, digits with separators, and again a sign or a code.
_MONEY: Final = re.compile(
    r"(?P<before>[^\d\s.,+-]{0,4})\s*(?P<sign>[+-]?)\s*"
    r"(?P<digits>\d[\d.,'\u2019\s]*)(?P<after>\D{0,6})"
)
_SEPARATORS: Final = {"\u066b": ".", "\u066c": ",", "\uff0e": ".", "\uff0c": ","}
_WHOLE: Final = re.compile(r"([0-9]{1,18})(?:[.,]0{1,18})?")
_GROUPED: Final = re.compile(r"\d{1,3}([.,])\d{3}")


def quote(value: object) -> str:
    """Return a value as a refusal names it."""
    if isinstance(value, str):
        # JSON's escapes may write half a character, which no answer can hold.
        cut = value[:_LONGEST_SHOWN].encode("utf-8", "replace").decode()
        return f"“{cut}…”" if len(cut) < len(value) else f"“{cut}”"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "An object"
    if isinstance(value, list):
        return "A list"
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"A number of more than {_MOST_BITS // 4:,} digits"
    text = str(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"


def not_text(value: object, *, example: str = "") -> str:
    """Return the sentence for a value that is no text where one belongs."""
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        text = quote(value)
        return f"{text} is a number, and this is a text. Write “{text}”, in quotes."
    instead = f", such as “{example}”," if example else ""
    return f"{quote(value)} is no text. Write a text{instead} or leave the field out."


def too_long(text: str, limit: int) -> str:
    return (
        f"{quote(text)} has {len(text):,} characters. Send at most {limit:,}, or leave the field "
        "out."
    )


def no_room(
    count: int, most: int, what: str, remedy: str, *, whose: str = "An organization"
) -> str:
    """Return the sentence that refuses one more of something; "" while there are fewer than `most`.

    `what` are the things, as “alerts”; `remedy` is a sentence. Two that come at once are both
    counted if the caller takes turns (`jobs.take_turns`).
    """
    if count < most:
        return ""
    return f"{whose} has at most {most:,} {what}. There are {count:,}, as many as may be. {remedy}"


def not_flag(value: object) -> str:
    word = str(value).strip().lower() if isinstance(value, str) else ""
    if word in {"true", "yes", "y", "on", "1"}:
        return f"{quote(value)} is a text. Write true, without quotes."
    if word in {"false", "no", "n", "off", "0"}:
        return f"{quote(value)} is a text. Write false, without quotes."
    return f"{quote(value)} says neither yes nor no. Write true or false, or leave the field out."


def not_whole_number(value: object, most: int) -> str:
    """Return the sentence for a value that is no whole number from 0 to `most`."""
    digits = _WHOLE.fullmatch(value.strip()) if isinstance(value, str) else None
    if digits and int(digits[1]) <= most:
        return f"{quote(value)} is a text. Write {int(digits[1])}, without quotes."
    return f"{quote(value)} is no whole number from 0 to {most:,}. Write one, such as 1."


def not_one_of(value: object, choices: Iterable[str]) -> str:
    """Return the sentence for a value that is none of a closed list."""
    words = list(choices)
    close = difflib.get_close_matches(str(value)[:64].strip().lower(), words, n=1, cutoff=0.6)
    meant = f"Write {close[0]}; possible are" if close else "Write one of:"
    return f"{quote(value)} is none of the values. {meant} {', '.join(words)}."


def not_amount(value: object) -> str:
    """Return the sentence for a value that is no amount of money."""
    if isinstance(value, str) and not value.strip():
        return "An empty text is no amount. Write a number such as 9.99, or leave the field out."
    suggestion = suggested_amount(value) if isinstance(value, str) else ""
    if suggestion:
        return f"{quote(value)} is no amount. Write {suggestion}."
    return (
        f"{quote(value)} is no amount. Write a number such as 9.99, with a point before the cents, "
        "or leave the field out."
    )


def not_exact(amount: Decimal, digits: int) -> str:
    """Return the sentence for an amount with more digits than are kept."""
    _sign, _digits, exponent = amount.as_tuple()
    if not isinstance(exponent, int):
        return not_amount(amount)
    if exponent < -digits and amount.adjusted() < -digits:
        return (
            f"{quote(amount)} is too small to be kept as an amount; {digits} digits after the "
            "point are. Write 0, or leave the field out."
        )
    if exponent < -digits and amount.adjusted() <= 0 and exponent > -100:
        return (
            f"{quote(amount)} has {-exponent} digits after the point. Write at most {digits}: "
            f"{round(amount, digits):f}."
        )
    return (
        f"{quote(amount)} can't be kept as an amount. Write at most 21 digits before the point and "
        f"{digits} after it, such as 9.99."
    )


def suggested_amount(text: str) -> str:
    """Return what an amount was probably meant to be: `9.99` for `9,99`; "" if nobody knows."""
    plain = "".join(map(_plain_sign, text.strip()[:_LONGEST_SHOWN]))
    match = _MONEY.fullmatch(plain)
    if match is None:
        return ""
    number = _with_point(re.sub(r"[\s'\u2019]", "", match["digits"]))
    if not number:
        return ""
    number = ("-" if match["sign"] == "-" else "") + number
    named = (match["before"].strip() or match["after"].strip()).strip(".")
    currency = _SIGNS.get(named) or (named.upper() if named.upper() in CURRENCIES else "")
    return f"{number}, and {currency} as the currency" if currency else number


def _plain_sign(character: str) -> str:
    """Return the digit 4 for ٤ and other scripts' fours, and a point and comma for theirs."""
    digit = unicodedata.decimal(character, None)
    return _SEPARATORS.get(character, character) if digit is None else str(digit)


def _with_point(digits: str) -> str:
    """Return a number with a point before its fraction, whatever separated its parts."""
    digits = digits.rstrip(".,")
    separators = [character for character in digits if character in ".,"]
    if not separators:
        return digits
    last = separators[-1]
    if len(set(separators)) == 1:
        if len(separators) > 1:  # 1,000,000
            return digits.replace(last, "")
        if last == "," and _GROUPED.fullmatch(digits):
            return f"{digits.replace(',', '')}, or {digits.replace(',', '.')}"
        return digits.replace(",", ".")
    whole, _, fraction = digits.rpartition(last)
    return re.sub("[.,]", "", whole) + "." + fraction


def not_country(code: str) -> str:
    shown = quote(code) if code.strip() else "An empty text"
    return (
        f"{shown} is no code of a country. Write the two letters of ISO 3166, such as DE, or leave "
        "the field out."
    )


def not_currency(code: str) -> str:
    if not code.strip():
        return (
            "An empty text is no currency. Write a code of ISO 4217, such as EUR, or leave the "
            "field out."
        )
    sign = _SIGNS.get(code.strip(), "")
    close = difflib.get_close_matches(code.strip().upper()[:64], sorted(CURRENCIES), n=1)
    meant = sign or (close[0] if close else "")
    instead = (
        f"Write {meant}, or another code of ISO 4217,"
        if meant
        else "Write a code of ISO 4217, such as EUR,"
    )
    return f"{quote(code)} is no currency. {instead} or leave the field out."


def not_address(text: str) -> str:
    """Return the sentence for a text that is no IP address; a port or a list are its fault."""
    meant = parse_forwarded_address(text.partition(",")[0])
    if meant is not None:
        return f"{quote(text)} is more than an address. Write {meant}, alone."
    return (
        f"{quote(text)} is no IP address. Write IPv4 or IPv6, such as 203.0.113.7, or leave the "
        "field out."
    )


def not_uuid(value: object) -> str:
    return (
        f"{quote(value)} is no UUID. Write one such as 0d6e1b3c-5f0a-4f6e-9d3e-2b6f4a1c7e55, made "
        "once by the client."
    )


def not_time(value: object) -> str:
    if isinstance(value, str) and (in_utc := without_offset(value)):
        return (
            f"{quote(value)} has no offset, and could be hours wrong. Write {in_utc} if it is UTC, "
            "or end it with the offset, such as +02:00."
        )
    return (
        f"{quote(value)} is no time. Write ISO 8601 with an offset, such as 2026-05-04T10:00:00Z, "
        "or Unix seconds, milliseconds or microseconds."
    )
