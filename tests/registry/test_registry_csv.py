"""Cells as spreadsheets read them: never a formula."""

import csv
import io
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from apps_registry import csv_format


@pytest.mark.parametrize("first", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(first: str) -> None:
    assert csv_format.format_cell(f"{first}HYPERLINK(1)") == f"'{first}HYPERLINK(1)"


_BLANKS = [
    *(" ", "   ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", "\N{IDEOGRAPHIC SPACE}"),
    *("\N{EM SPACE}", "\N{OGHAM SPACE MARK}", "\N{LINE SEPARATOR}", "\x0b", "\x0c", "\x00", "\x1f"),
    *("\x85", "\N{ZERO WIDTH SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}", "\N{WORD JOINER}"),
    *("\N{RIGHT-TO-LEFT MARK}", "\N{RIGHT-TO-LEFT OVERRIDE}", "\N{SOFT HYPHEN}"),
    *("\N{HANGUL FILLER}", "\N{BRAILLE PATTERN BLANK}", " \N{NO-BREAK SPACE}\t"),
]
_SIGNS = [*"=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b\u207c\u207a"]


@pytest.mark.parametrize("blank", ["", *_BLANKS])
def test_blanks_before_a_sign_and_wide_signs_make_no_formula(blank: str) -> None:
    texts = [f"{blank}{sign}HYPERLINK(1)" for sign in _SIGNS]

    assert [csv_format.format_cell(text) for text in texts] == [f"'{text}" for text in texts]


@pytest.mark.parametrize(
    ("text", "harmless"),
    [
        ("a;=HYPERLINK(1)", "a;'=HYPERLINK(1)"),
        ('a; "=HYPERLINK(1)"', 'a;\' "=HYPERLINK(1)"'),
        ("a\r\n@SUM(1)", "a\r\n'@SUM(1)"),
        ("=1;\N{NO-BREAK SPACE}\uff1d1;b", "'=1;'\N{NO-BREAK SPACE}\uff1d1;b"),
        ("iPhone; CPU iPhone OS 18_1; a = b", "iPhone; CPU iPhone OS 18_1; a = b"),
        (";;\n", ";;\n"),
    ],
)
def test_no_formula_begins_within_a_text_where_another_separator_is_usual(
    text: str, harmless: str
) -> None:
    assert csv_format.format_cell(text) == harmless


@pytest.mark.parametrize("blank", _BLANKS[:3])
def test_blanks_before_other_texts_stay_as_they_are(blank: str) -> None:
    assert csv_format.format_cell(f"{blank}a = b") == f"{blank}a = b"
    assert csv_format.format_cell(blank) == blank


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (-5, "-5"),
        (Decimal("-4.990"), "-4.990"),
        (Decimal("1E+2"), "100"),
        (datetime(2026, 5, 4, 12, tzinfo=timezone(timedelta(hours=2))), "2026-05-04T10:00:00.000Z"),
        (["a", {"b": "ü"}], '["a", {"b": "ü"}]'),
        ("2 + 2 = 4", "2 + 2 = 4"),
    ],
)
def test_a_value_keeps_its_meaning(value: object, text: str) -> None:
    assert csv_format.format_cell(value) == text


def test_quotes_commas_and_line_ends_stay_in_their_cell() -> None:
    row = ['say "hi", you', "two\nlines", "\N{RIGHT-TO-LEFT OVERRIDE}gnp", "\ud800"]

    (read,) = csv.reader(io.StringIO(csv_format.encode_rows([row]).decode(), newline=""))

    assert read == ['say "hi", you', "two\nlines", "\N{RIGHT-TO-LEFT OVERRIDE}gnp", "?"]


@pytest.mark.parametrize(
    ("organization", "name"),
    [
        ("Gem Harbor", "events-gem-harbor-2026-05-04.csv"),
        ('"; filename="evil.exe', "events-filenameevilexe-2026-05-04.csv"),
        ("Gem\r\nSet-Cookie: a=b", "events-gem-set-cookie-ab-2026-05-04.csv"),
        ("../../etc/passwd", "events-etcpasswd-2026-05-04.csv"),
        ("宝石", "events-organization-2026-05-04.csv"),
        ("x" * 10_000, f"events-{'x' * 60}-2026-05-04.csv"),
    ],
)
def test_a_file_is_named_by_what_it_holds_whose_and_when(organization: str, name: str) -> None:
    assert csv_format.file_name("events", organization, datetime(2026, 5, 4, tzinfo=UTC)) == name
