"""Lists of partners are read however Excel, a program or a person wrote them."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from postbacks.values.partner_lists import (
    LONGEST_ID,
    LONGEST_LINE,
    MOST_LINES,
    UnreadableListError,
    decode,
    parse_list,
)

DAY = datetime(2026, 11, 26, tzinfo=UTC)
FOUR = Decimal("4.99")

# What arrives, and for each line its ID, date and amount with currency.
LISTS = {
    "ids, one a line": (b"abc-1\nabc-2\n", [("abc-1",), ("abc-2",)]),
    "a header of one word": (b"click_id\nabc-1\nabc-2", [("abc-1",), ("abc-2",)]),
    "a Chinese header": ("点击ID\nabc-1\nabc-2".encode(), [("abc-1",), ("abc-2",)]),
    "Excel in English": (
        b"\xef\xbb\xbfClick ID,Date,Revenue,Currency\r\nabc-1,11/26/2026,4.99,USD\r\n",
        [("abc-1", DAY, FOUR, "USD")],
    ),
    "Excel in German": (
        "\ufeffDatum;Klick-ID;Umsatz\r\n26.11.2026;abc-1;4,99 €\r\n27.11.2026;abc-2;1.234,50 €\r\n"
        "".encode(),
        [
            ("abc-1", DAY, FOUR, "EUR"),
            ("abc-2", DAY.replace(day=27), Decimal("1234.50"), "EUR"),
        ],
    ),
    "Excel's Unicode text": (
        "Transaction ID\tDate\tAmount\r\nT-1\t2026-11-26\t4.99\r\n".encode("utf-16"),
        [("T-1", DAY, FOUR)],
    ),
    "UTF-16 without its mark": ("click_id;x\r\nabc-1;y1\r\n".encode("utf-16-le"), [("abc-1",)]),
    "Excel in French, Latin-1": (
        "Identifiant;Montant encaissé\r\nabc-1;4,99\r\nabc-2;10,00\r\n".encode("cp1252"),
        [("abc-1", None, FOUR), ("abc-2", None, Decimal(10))],
    ),
    "a line that names the separator": (b'sep=|\r\nid|sum\r\n"a|1"|4.99', [("a|1", None, FOUR)]),
    "no header": (
        b"abc-1,2026-11-26,4.99\nabc-2,2026-11-26,4.99",
        [("abc-1", DAY, FOUR), ("abc-2", DAY, FOUR)],
    ),
    "quoted, with line breaks": (
        b'note,click_id,payout\n"two\nlines",abc-1,4.99\n"a ""b""",abc-2,"1,234.50"\n',
        [("abc-1", None, FOUR), ("abc-2", None, Decimal("1234.50"))],
    ),
    "numbers that are IDs": (
        b"order_id,amount\n1700000001,4.99\n1700000002,5.00\n",
        [("1700000001", None, FOUR), ("1700000002", None, Decimal(5))],
    ),
    "whole amounts": (
        "Заказ;Сумма\n10000001;5\n10000002;7\n".encode(),
        [("10000001", None, Decimal(5)), ("10000002", None, Decimal(7))],
    ),
    "Unix seconds": (
        b"click_time,click_id\n1795651200,1234567890123\n",
        [("1234567890123", DAY)],
    ),
    "an hour in the afternoon": (
        b"click_id,when\nabc-1,11/26/2026 2:30 PM\n",
        [("abc-1", DAY.replace(hour=14, minute=30))],
    ),
    "what spreadsheets put around a text": (
        b'click_id\n="0012"\n\'0034\n 0056 \n',
        [("0012",), ("0034",), ("0056",)],
    ),
    "lines without an ID": (b"click_id,date\nabc-1,2026-11-26\n,2026-11-26\n", [("abc-1", DAY)]),
    "days before months": (
        b"click_id,date\nabc-1,26/11/2026\nabc-2,03/11/2026\n",
        [("abc-1", DAY), ("abc-2", DAY.replace(day=3))],
    ),
    # These took minutes once: each of the blanks was tried with all others.
    "cells of thousands of blanks": (
        b"click_id,note\n" + (b"a1,1" + b" " * 8_000 + b"x\n") * 50,
        [("a1",)] * 50,
    ),
    "a percent-encoded ID stays": (b"a%2Fb=c==\n1+2/3=\n", [("a%2Fb=c==",), ("1+2/3=",)]),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_is_read_however_it_was_written(case: str) -> None:
    data, wanted = LISTS[case]

    lines = parse_list(decode(data)).lines

    read = [(line.id, line.at, line.amount, line.currency) for line in lines]
    filled = [(*line, *(None, None, "")[len(line) - 1 :])[:4] for line in wanted]
    assert read == filled


def test_a_time_without_a_zone_is_the_organizations() -> None:
    (line,) = parse_list("abc-1,2026-11-26 01:00", zone=ZoneInfo("Europe/Kyiv")).lines

    assert line.at == datetime(2026, 11, 25, 23, tzinfo=UTC)


def test_what_was_understood_is_said() -> None:
    read = parse_list("Datum;Klick-ID\n26.11.2026;1,23E+15\n26.11.2026;1,23E+15\n27.11.2026;\n")

    assert read.readings == ["ID: column 2 (“Klick-ID”)", "date: column 1 (“Datum”)"]
    shortened, without, repeated = read.remarks
    assert "Excel has shortened" in shortened
    assert "1 lines have no ID" in without
    assert "1 lines repeat" in repeated


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"\n \n", "empty"),
        (b";;\n;;", "empty"),
        (b"PK\x03\x04xlsx", "CSV UTF-8"),
        (b"a" * (LONGEST_LINE + 1), "Line 1 has"),
        (b"x\n" + b"a" * (LONGEST_ID + 1), "Line 2 has an ID"),
        (b"a1\n" * (MOST_LINES + 1), "in parts"),
    ],
    ids=["nothing", "blank lines", "empty cells", "xlsx", "a long line", "a long ID", "many lines"],
)
def test_a_list_that_can_not_be_read_is_refused_with_the_remedy(data: bytes, says: str) -> None:
    with pytest.raises(UnreadableListError, match=says):
        parse_list(decode(data))


@pytest.mark.parametrize("cell", ['""""', "'", '"="""', "\u200b", '"\'"'])
def test_cells_of_marks_alone_are_empty(cell: str) -> None:
    with pytest.raises(UnreadableListError, match="The list is empty"):
        parse_list(f"{cell}\n{cell},{cell}\n")


@pytest.mark.parametrize("named", ["sep=", 'sep="', "sep=\r", "sep=;;"])
def test_a_first_line_that_names_no_separator_is_a_line(named: str) -> None:
    assert parse_list(f"{named}\na1\n").lines
