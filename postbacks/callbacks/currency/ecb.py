"""Reads the European Central Bank's files of euro reference rates.

https://www.ecb.europa.eu/stats/eurofxref/ has them: eurofxref-hist.csv (in a .zip) and
eurofxref.csv with a column per currency, eurofxref-daily.xml and eurofxref-hist.xml with nested
`Cube` elements. The bank's rate is the worth of one euro; ours is that of one unit of the currency
in US dollars.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Final
from xml.etree import ElementTree

_LARGEST: Final = 64 * 1024 * 1024
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_ABSENT: Final = frozenset({"", "N/A", "-"})
_DAY_FORMATS: Final = ("%Y-%m-%d", "%d %B %Y")
_EXACT: Final = Decimal(1).scaleb(-18)


class NotRatesError(ValueError):
    """The file is not one of the bank's; the message is for people."""


@dataclass(frozen=True, slots=True)
class DayOfRates:
    """The worth of one unit of each currency in US dollars on one day."""

    day: date
    usd: Mapping[str, Decimal]


def read_rates(data: bytes) -> list[DayOfRates]:
    """Return the days of a CSV or XML file, or of a ZIP with one in it. Raises NotRatesError."""
    if data.startswith(b"PK"):
        data = _unpacked(data)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise NotRatesError("The file is neither CSV, XML nor ZIP.") from None
    per_euro = _xml(text) if text.lstrip().startswith("<") else _csv(text)
    days = [DayOfRates(day, _in_dollars(day, rates)) for day, rates in per_euro]
    if not days:
        raise NotRatesError("There are no rates in the file.")
    return days


def _unpacked(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            (member,) = archive.infolist()
            if member.file_size > _LARGEST:
                raise NotRatesError("The file in the ZIP is too large.")
            return archive.read(member)
    except (zipfile.BadZipFile, ValueError):
        raise NotRatesError("The ZIP must hold one file, eurofxref.csv or the like.") from None


def _csv(text: str) -> Iterator[tuple[date, dict[str, Decimal]]]:
    rows = csv.reader(io.StringIO(text))
    head = [cell.strip() for cell in next(rows, [])]
    if not head or head[0] != "Date" or "USD" not in head:
        raise NotRatesError("The first line must be the bank's: Date,USD,JPY,…")
    for row in rows:
        if row:
            cells = [cell.strip() for cell in row]
            rates = zip(head[1:], cells[1:], strict=False)
            yield _day(cells[0]), dict(_rates(cells[0], rates))


def _xml(text: str) -> Iterator[tuple[date, dict[str, Decimal]]]:
    try:
        root = ElementTree.fromstring(text)  # noqa: S314  # the operator's own file
    except ElementTree.ParseError as error:
        raise NotRatesError(f"The XML is broken: {error}.") from None
    for cube in root.iter():
        if "time" in cube.attrib:
            rates = ((rate.get("currency", ""), rate.get("rate", "")) for rate in cube)
            yield _day(cube.attrib["time"]), dict(_rates(cube.attrib["time"], rates))


def _day(text: str) -> date:
    for form in _DAY_FORMATS:
        try:
            return datetime.strptime(text, form).date()  # noqa: DTZ007  # a day has no zone
        except ValueError:
            continue
    raise NotRatesError(f"“{text[:40]}” is not a day such as 2026-01-31.")


def _rates(day: str, pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[str, Decimal]]:
    for currency, text in pairs:
        if text in _ABSENT or not _CURRENCY.fullmatch(currency):
            continue
        yield currency, _rate(day, currency, text)


def _rate(day: str, currency: str, text: str) -> Decimal:
    try:
        rate = Decimal(text)
    except InvalidOperation:
        rate = Decimal(0)
    if not (rate.is_finite() and rate > 0):
        raise NotRatesError(f"“{text[:40]}” is not a rate ({currency}, {day[:40]}).")
    return rate


def _in_dollars(day: date, per_euro: Mapping[str, Decimal]) -> Mapping[str, Decimal]:
    if "USD" not in per_euro:
        raise NotRatesError(f"The rate of the US dollar is missing ({day}).")
    euro = per_euro["USD"]
    others = {
        currency: (euro / rate).quantize(_EXACT)
        for currency, rate in per_euro.items()
        if currency != "USD"
    }
    return {"EUR": euro, **others}
