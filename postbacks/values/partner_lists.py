"""Reads the list that a partner sends of its conversions: CSV as Excel and others write it.

Nobody says how the file is made. Encoding, separator, header, and which column holds what follow
from the text itself: from all values of a column, and from a header's words where values leave a
doubt. `PartnerList.readings` says what was understood, so that a person sees a mistake.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from decimal import Decimal, InvalidOperation

MOST_BYTES = 5_000_000
MOST_LINES = 100_000
LONGEST_LINE = 8_192
LONGEST_ID = 1_024

_SEPARATORS = "\t;|,"  # of two that fit alike, the first
_SAMPLE = 500  # rows by which columns are recognized
_MOST_OTHERS = 5  # one of so many values of a column may be of another kind
_LONGEST_DATE = 40
_SHORTEST_IN_WORDS = 8  # of a date in words or of ISO 8601
_LARGEST_AMOUNT = Decimal(10) ** 15

_ID_WORDS = re.compile(
    r"click|clk|klick|clic|gclid|transa|txn|order|bestell|commande|pedido|conversion|postback|"
    r"event.?id|транзак|клик|заказ|点击|订单|交易|クリック|注文|클릭|주문",
    re.IGNORECASE,
)
_WEAK_ID_WORDS = re.compile(r"\bid\b|_id$|^id_|id$|\bkey\b|编号|номер", re.IGNORECASE)
_DATE_WORDS = re.compile(
    r"date|datum|time|zeit|fecha|hora|heure|giorno|data\b|day|tag\b|timestamp|created|дата|время|"
    r"日期|时间|日時|날짜|시간",
    re.IGNORECASE,
)
_AMOUNT_WORDS = re.compile(
    r"amount|revenue|payout|price|value|sum\b|total|cost|commission|betrag|umsatz|erl[oö]s|preis|"
    r"montant|revenu|prix|importe|ingreso|valor|precio|importo|ricavo|сумма|доход|цена|金额|收入|"
    r"価格|金額|売上|금액|매출",
    re.IGNORECASE,
)
_CURRENCY = re.compile(r"[A-Z]{3}")
# Nothing is tried twice: a cell of many blanks would take seconds.
_MONEY = re.compile(
    r"(?P<minus>-?)\s*+(?P<before>[A-Z]{3}|[$€£¥₽₴₹₩])?\s*+(?P<number>[0-9][0-9.,'\s]*+)"
    r"(?P<after>[A-Z]{3}|[$€£¥₽₴₹₩])?"
)
_SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "₽": "RUB", "₴": "UAH", "₹": "INR", "₩": "KRW"}
_DAY = re.compile(
    r"(?P<first>\d{1,4})[./-](?P<second>\d{1,2})[./-](?P<third>\d{1,4})"
    r"(?:[ T,]+(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<seconds>\d{2})(?:[.,]\d+)?)?"
    r"\s*(?P<half>[AaPp][Mm])?)?"
)
_NAMED_MONTHS = ("%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d %b %Y %H:%M:%S")
_SHORTENED = re.compile(r"\d[.,]\d+E\+\d+", re.IGNORECASE)  # as Excel shows long numbers
_EARLIEST, _LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
_EXCELS_FIRST_DAY = datetime(1899, 12, 30)  # noqa: DTZ001  # a day of no zone


class UnreadableListError(ValueError):
    """The list can't be taken; the message says where and what to send."""


@dataclass(frozen=True, slots=True)
class PartnerLine:
    """One conversion of the partner; `number` is its line, the first being 1."""

    number: int
    id: str
    at: datetime | None = None
    amount: Decimal | None = None
    currency: str = ""


@dataclass(frozen=True, slots=True)
class PartnerList:
    """A list as it was understood. `remarks` name what a person should know of it."""

    lines: Sequence[PartnerLine]
    readings: Sequence[str]
    remarks: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Columns:
    """Which column holds what, the first being 0; a header was row 0."""

    id: int
    at: int | None
    amount: int | None
    currency: int | None
    has_header: bool


def decode(data: bytes) -> str:
    """Return a file's text, in whatever encoding Excel or a program saved it.

    Raises UnreadableListError for a file that is no text.
    """
    if data.startswith((b"PK\x03\x04", b"\xd0\xcf\x11\xe0", b"%PDF")):
        raise UnreadableListError(
            "This is not a text file. In Excel choose “Save as”, then “CSV UTF-8”, and send that."
        )
    if data.startswith(b"\xef\xbb\xbf"):
        return data.decode("utf-8-sig", "replace")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    sample = data[:2_000]
    if sample.count(0) * 3 > len(sample):  # UTF-16 without its mark: every second byte is 0
        is_little = sample[1::2].count(0) > sample[::2].count(0)
        return data.decode("utf-16-le" if is_little else "utf-16-be", "replace")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def parse_list(text: str, *, zone: tzinfo = UTC) -> PartnerList:
    """Return the lines of a list; a time without a zone is of `zone`.

    Raises UnreadableListError.
    """
    text = text.removeprefix("\ufeff")
    separator, text = _separator(text)
    _check_lines(text)
    cleaned = (
        (number, [_clean(cell) for cell in row]) for number, row in _numbered(text, separator)
    )
    rows = [(number, row) for number, row in cleaned if any(row)]
    if not rows:
        raise UnreadableListError("The list is empty. Paste one ID a line, or a CSV file.")
    columns = _recognize([row for _, row in rows[: _SAMPLE + 1]])
    header = rows[0][1] if columns.has_header else []
    body = rows[1:] if columns.has_header else rows
    if len(body) > MOST_LINES:
        raise UnreadableListError(
            f"The list has {len(body):,} lines; at most {MOST_LINES:,} are compared at once. "
            "Send it in parts."
        )
    lines = list(_read(body, columns, zone))
    if not lines:
        raise UnreadableListError("No line has an ID. Paste one ID a line, or a CSV file.")
    return PartnerList(lines, list(_readings(columns, header)), list(_remarks(lines, body)))


def _check_lines(text: str) -> None:
    for number, line in enumerate(text.splitlines(), 1):
        if len(line) > LONGEST_LINE:
            raise UnreadableListError(
                f"Line {number} has {len(line):,} characters; at most {LONGEST_LINE:,} are read."
            )


def _separator(text: str) -> tuple[str, str]:
    """Return the separator of cells, and the text without a line that only names it."""
    first, _, rest = text.partition("\n")
    named = re.fullmatch(r'"?sep=([^"\r])"?\r?', first, re.IGNORECASE)  # as Excel writes it
    if named is not None:
        return named[1], rest
    sample = "\n".join(text.splitlines()[:50])
    best, best_share = ",", 0.0
    for separator in _SEPARATORS:
        widths = Counter(len(row) for _, row in _numbered(sample, separator) if row)
        width, count = widths.most_common(1)[0] if widths else (1, 0)
        share = count / max(widths.total(), 1)
        if width > 1 and share > best_share:
            best, best_share = separator, share
    return best, text


def _numbered(text: str, separator: str) -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        for row in reader:
            yield reader.line_num, row
    except csv.Error as error:
        raise UnreadableListError(f"Line {reader.line_num} can't be read: {error}.") from None


def _clean(cell: str) -> str:
    """Return a cell without what spreadsheets put around it: blanks, ="…", an apostrophe."""
    text = cell.strip().strip("\ufeff\u200b\u00a0")
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.removeprefix("'").strip('"')


def _recognize(rows: Sequence[Sequence[str]]) -> _Columns:
    width = max(len(row) for row in rows)
    first = [_cell(rows[0], column) for column in range(width)]
    rest = rows[1:] or rows
    values = [[v for row in rest if (v := _cell(row, column))] for column in range(width)]

    def free(*taken: int | None) -> list[int]:
        return [column for column in range(width) if column not in taken and values[column]]

    at = _first_of(free(), lambda c: _is_date_column(values[c], first[c]) and width > 1)
    currency = _first_of(free(at), lambda c: _are_mostly(values[c], _is_currency))
    candidates = free(at, currency) or free()
    amount = _amount_column(candidates, values, first)
    ids = [column for column in candidates if column != amount] or candidates
    id_column = max(ids, key=lambda c: _id_rank(values[c], first[c]))
    kinds = ((at, _is_day), (amount, _is_amount), (currency, _is_currency))
    is_odd = any(c is not None and first[c] and not is_kind(first[c]) for c, is_kind in kinds)
    has_header = len(rows) > 1 and (is_odd or _is_header(first[id_column], values[id_column]))
    return _Columns(id_column, at, amount, currency, has_header)


def _amount_column(
    candidates: Sequence[int], values: Sequence[Sequence[str]], first: Sequence[str]
) -> int | None:
    """Return the column of amounts: numbers that are not the only candidates for IDs."""
    money = [c for c in candidates if _are_mostly(values[c], _is_amount)]
    named = [c for c in money if _AMOUNT_WORDS.search(first[c])]
    separated = [c for c in money if _has_separator(values[c])]
    short = [c for c in money if _is_short(values[c])]
    for column in (*named, *separated, *short):
        is_named_id = _ID_WORDS.search(first[column]) and column not in named
        if len(candidates) > 1 and not is_named_id:
            return column
    return None


def _first_of(columns: Iterable[int], is_wanted: Callable[[int], bool]) -> int | None:
    return next((column for column in columns if is_wanted(column)), None)


def _is_date_column(values: Sequence[str], heading: str) -> bool:
    if not _are_mostly(values, _is_day):
        return False
    if all(_is_digits(value) for value in values):  # may be IDs as well
        return bool(_DATE_WORDS.search(heading)) and not _WEAK_ID_WORDS.search(heading)
    return True


def _id_rank(values: Sequence[str], heading: str) -> tuple[int, float, float]:
    named = 2 if _ID_WORDS.search(heading) else 1 if _WEAK_ID_WORDS.search(heading) else 0
    length = sum(map(len, values)) / max(len(values), 1)
    return named, round(len(set(values)) / max(len(values), 1), 1), length


def _is_header(cell: str, values: Sequence[str]) -> bool:
    """Tell whether a cell is the name of a column of IDs: words, where the IDs have digits."""
    if any(char.isdigit() for char in cell) or not cell or len(cell) > 60:
        return False
    have_digits = _are_mostly(values, lambda value: any(char.isdigit() for char in value))
    return have_digits or bool(
        _ID_WORDS.fullmatch(cell) or re.fullmatch(r"(click|transaction|event)[ _-]?id", cell, re.I)
    )


def _read(
    rows: Sequence[tuple[int, list[str]]], columns: _Columns, zone: tzinfo
) -> Iterator[PartnerLine]:
    dates = [_cell(row, columns.at) for _, row in rows]
    amounts = [_cell(row, columns.amount) for _, row in rows]
    day_first, decimal_comma = _is_day_first(dates), _has_decimal_comma(amounts)
    for (number, row), date, money in zip(rows, dates, amounts, strict=True):
        id_ = _cell(row, columns.id)
        if not id_:
            continue
        if len(id_) > LONGEST_ID:
            raise UnreadableListError(
                f"Line {number} has an ID of {len(id_):,} characters; at most {LONGEST_ID:,} are "
                "stored of a click ID."
            )
        amount, currency = _amount(money, decimal_comma=decimal_comma)
        stated = _cell(row, columns.currency).upper()
        currency = stated if _is_currency(stated) else currency
        yield PartnerLine(number, id_, _moment(date, zone, day_first=day_first), amount, currency)


def _readings(columns: _Columns, header: Sequence[str]) -> Iterator[str]:
    names = (("ID", columns.id), ("date", columns.at), ("amount", columns.amount))
    for meaning, column in (*names, ("currency", columns.currency)):
        if column is not None:
            name = _cell(header, column)
            yield f"{meaning}: column {column + 1}{f' (“{name[:60]}”)' if name else ''}"


def _remarks(lines: Sequence[PartnerLine], body: Sequence[tuple[int, list[str]]]) -> Iterator[str]:
    if shortened := sum(bool(_SHORTENED.fullmatch(line.id)) for line in lines):
        yield (
            f"{shortened:,} IDs look like 1.23E+15: Excel has shortened them, and their digits are "
            "lost. Ask for a file that was not opened in Excel, or with the column as text."
        )
    if without := len(body) - len(lines):
        yield f"{without:,} lines have no ID and were left out."
    repeated = len(lines) - len({line.id for line in lines})
    if repeated:
        yield f"{repeated:,} lines repeat an ID that stands above them."


def _cell(row: Sequence[str], column: int | None) -> str:
    return row[column] if column is not None and column < len(row) else ""


def _are_mostly(values: Sequence[str], is_kind: Callable[[str], bool]) -> bool:
    """Tell whether nearly all values are of a kind; ends as soon as too many are not."""
    others = 0
    for value in values:
        if not is_kind(value):
            others += 1
            if others * _MOST_OTHERS > len(values):
                return False
    return bool(values)


def _is_digits(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_currency(text: str) -> bool:
    return bool(_CURRENCY.fullmatch(text.upper()))


def _is_short(values: Sequence[str]) -> bool:
    return max(map(len, values)) <= 6


def _has_separator(values: Sequence[str]) -> bool:
    return any("." in value or "," in value for value in values)


def _is_amount(text: str) -> bool:
    return _MONEY.fullmatch(text) is not None


def _is_day(text: str) -> bool:
    if _moment(text, UTC, day_first=True) is not None:
        return True
    return bool(_DAY.fullmatch(text)) and _moment(text, UTC, day_first=False) is not None


def _has_decimal_comma(values: Iterable[str]) -> bool:
    """Tell whether a comma stands before decimals: 4,99 or 1.234,5 somewhere."""
    for value in values:
        comma, point = value.rfind(","), value.rfind(".")
        if comma > point and (point >= 0 or len(re.sub(r"\D", "", value[comma:])) != 3):
            return True
    return False


def _amount(text: str, *, decimal_comma: bool) -> tuple[Decimal | None, str]:
    match = _MONEY.fullmatch(text)
    if match is None:
        return None, ""
    sign = match["before"] or match["after"] or ""
    number = match["minus"] + re.sub(r"['\s\u00a0\u202f]", "", match["number"])
    decimals, thousands = (",", ".") if decimal_comma else (".", ",")
    try:
        amount = Decimal(number.replace(thousands, "").replace(decimals, "."))
    except InvalidOperation:
        return None, ""
    if abs(amount) >= _LARGEST_AMOUNT:
        return None, ""
    return amount, _SIGNS.get(sign, sign if sign.isalpha() else "")


def _is_day_first(values: Iterable[str]) -> bool:
    """Tell whether days stand before months; with slashes and no day above 12 they stand after."""
    matches = [match for value in values if (match := _DAY.fullmatch(value))]
    if any(int(match["first"]) > 12 for match in matches if len(match["first"]) < 3):
        return True
    if any(int(match["second"]) > 12 for match in matches):
        return False
    return not any("/" in match[0] for match in matches)


def _moment(text: str, zone: tzinfo, *, day_first: bool) -> datetime | None:
    is_short = len(text) <= _LONGEST_DATE
    moment = _parsed(text, day_first=day_first) if text and is_short else None
    if moment is None:
        return None
    try:
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except OverflowError:
        return None
    return moment if _EARLIEST <= moment <= _LATEST else None


def _parsed(text: str, *, day_first: bool) -> datetime | None:
    try:
        if re.fullmatch(r"\d{5}([.,]\d+)?", text):  # days as Excel counts them
            return _EXCELS_FIRST_DAY + timedelta(days=float(text.replace(",", ".")))
        if _is_digits(text) and len(text) in {10, 13, 16}:
            return datetime.fromtimestamp(int(text) / 10 ** (len(text) - 10), UTC)
        if match := _DAY.fullmatch(text):
            return _of_numbers(match, day_first=day_first)
        if len(text) < _SHORTEST_IN_WORDS:
            return None
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        return _of_words(text)


def _of_numbers(match: re.Match[str], *, day_first: bool) -> datetime:
    first, second, third = (int(match[name]) for name in ("first", "second", "third"))
    if len(match["first"]) == 4:
        year, month, day = first, second, third
    else:
        day, month = (first, second) if day_first else (second, first)
        year = third + 2000 if third < 100 else third
    hour = int(match["hour"] or 0)
    if half := (match["half"] or "").lower():
        hour = hour % 12 + (12 if half == "pm" else 0)
    minute, seconds = int(match["minute"] or 0), int(match["seconds"] or 0)
    return datetime(year, month, day, hour, minute, seconds)  # noqa: DTZ001  # `_moment` adds it


def _of_words(text: str) -> datetime | None:
    for form in _NAMED_MONTHS:
        try:
            return datetime.strptime(text, form)  # noqa: DTZ007  # likewise
        except ValueError:
            continue
    return None
