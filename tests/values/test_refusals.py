"""The sentences with which values are refused."""

import pytest

from postbacks.values.refusals import not_country, not_currency, suggested_amount


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
