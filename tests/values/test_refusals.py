"""The sentences with which values are refused."""

import pytest

from postbacks.values.refusals import not_country, not_currency, not_time, suggested_amount


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("\u0664,\u0669\u0669", "4.99"),
        ("\u0664\u066b\u0669\u0669", "4.99"),
        ("\u06f4.\u06f9\u06f9", "4.99"),
        ("\u096a.\u096f\u096f", "4.99"),
        ("\uff14\uff0e\uff19\uff19", "4.99"),
        ("\u0661\u066c\u0660\u0660\u0660\u066b\u0665", "1000.5"),
        ("\u0664,\u0669\u0669 \u20ac", "4.99, and EUR as the currency"),
        ("9,99", "9.99"),
    ],
)
def test_an_amount_is_suggested_in_ascii_digits(written: str, amount: str) -> None:
    assert suggested_amount(written) == amount


@pytest.mark.parametrize("written", ["", " ", "Euro", "\u20ac", "XXX1"])
def test_a_currency_may_be_left_out(written: str) -> None:
    assert "leave the field out" in not_currency(written)


@pytest.mark.parametrize("written", ["", " ", "Germany", "D"])
def test_a_country_may_be_left_out(written: str) -> None:
    assert "leave the field out" in not_country(written)


def test_an_empty_text_is_named_as_such() -> None:
    assert not_country("").startswith("An empty text is no code of a country.")
    assert not_currency(" ").startswith("An empty text is no currency.")


@pytest.mark.parametrize("written", ["Euro", "\u20ac", "euros", "EURR"])
def test_the_code_that_was_meant_is_named_once(written: str) -> None:
    assert not_currency(written).count("EUR,") == 1


@pytest.mark.parametrize(
    ("written", "in_utc"),
    [
        ("2026-11-30 02:40:00", "2026-11-30T02:40:00Z"),
        (" 2026-11-30T02:40 ", "2026-11-30T02:40:00Z"),
        ("2026-11-30T02:40:00.250", "2026-11-30T02:40:00.250000Z"),
        ("2026-11-30", "2026-11-30T00:00:00Z"),
    ],
)
def test_a_time_that_lacks_only_its_offset_is_written_out(written: str, in_utc: str) -> None:
    assert f"has no offset, and could be hours wrong. Write {in_utc} if" in not_time(written)


@pytest.mark.parametrize("written", ["yesterday", "", 0, None, "2026-13-30 02:40:00", []])
def test_what_is_no_time_at_all_is_said_to_be_none(written: object) -> None:
    assert "is no time. Write ISO 8601" in not_time(written)
