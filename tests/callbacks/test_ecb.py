"""The European Central Bank's files, in each of its formats."""

import io
import zipfile
from datetime import date
from decimal import Decimal

import pytest

from postbacks.callbacks.currency.ecb import NotRatesError, read_rates

HISTORY = (
    "Date,USD,JPY,CYP,GBP,\n"
    "2024-04-26,1.0714,168.03,N/A,0.85643,\n"
    "2024-04-25,1.072,166.76,N/A,0.8565,\n"
)
DAILY = "Date, USD, JPY, GBP, \n26 April 2024, 1.0714, 168.03, 0.85643, \n"
XML = """<?xml version="1.0" encoding="UTF-8"?>
<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"
    xmlns="http://www.ecb.int/vocabulary/2002-08-01/eurofxref">
  <gesmes:subject>Reference rates</gesmes:subject>
  <Cube><Cube time='2024-04-26'>
    <Cube currency='USD' rate='1.0714'/><Cube currency='JPY' rate='168.03'/>
    <Cube currency='GBP' rate='0.85643'/>
  </Cube></Cube>
</gesmes:Envelope>
"""
APRIL_26 = {
    "EUR": Decimal("1.0714"),
    "JPY": Decimal("0.006376242337677796"),  # 1.0714 / 168.03
    "GBP": Decimal("1.251007087561155027"),  # 1.0714 / 0.85643
}


def zipped(name: str, text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [HISTORY.encode(), DAILY.encode(), XML.encode(), zipped("eurofxref-hist.csv", HISTORY)],
    ids=["history", "daily", "XML", "ZIP"],
)
def test_a_day_is_read_from_each_format(data: bytes) -> None:
    newest = read_rates(data)[0]

    assert newest.day == date(2024, 4, 26)
    assert newest.usd == APRIL_26


def test_a_history_has_its_days_and_leaves_out_what_has_no_rate() -> None:
    days = read_rates(HISTORY.encode())

    assert [day.day for day in days] == [date(2024, 4, 26), date(2024, 4, 25)]
    assert not any("CYP" in day.usd for day in days)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "The first line must be the bank's"),
        (b"day;rate\n", "The first line must be the bank's"),
        (b"Date,USD\n", "There are no rates in the file"),
        (b"Date,USD\nyesterday,1.1\n", "is not a day"),
        (b"Date,USD\n2024-04-26,much\n", "is not a rate"),
        (b"Date,USD\n2024-04-26,-1\n", "is not a rate"),
        (b"Date,USD,JPY\n2024-04-26,N/A,168\n", "The rate of the US dollar is missing"),
        (b"<Envelope><Cube", "The XML is broken"),
        (b"<Envelope></Envelope>", "There are no rates in the file"),
        (b"\xff\xfe\x00", "neither CSV, XML nor ZIP"),
        (b"PK\x03\x04broken", "The ZIP must hold one file"),
    ],
)
def test_what_is_no_file_of_the_bank_is_refused_with_the_reason(data: bytes, sentence: str) -> None:
    with pytest.raises(NotRatesError, match=sentence):
        read_rates(data)
