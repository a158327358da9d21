"""Names as people write them, and names that mislead."""

import pytest

from postbacks.values.visible_text import hidden_character, is_visible


@pytest.mark.parametrize(
    "name",
    [
        "purchase",
        "می\u200cخرد",  # Persian, with a zero-width non-joiner
        "👩\u200d👩\u200d👧 family",
        "🏳\ufe0f\u200d🌈",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",  # the flag of England
        "prix\u00a0réduit",
        "1\u202f000 points",
        "क्\u200dष",
        "שלום\u200f!",
        "soft\u00adhyphen",
        "word\u2060joiner",
        "\U0001fae8",  # newer than Python's tables
        "購入",
    ],
)
def test_a_name_that_people_write_is_one(name: str) -> None:
    assert is_visible(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", " ", "\u00a0", "\u200d", "\u200c\u00a0", "\u3164", "\u2800"),
        *("a\nb", "a\tb", "a\x00b", "a\x7fb", "a\u2028b", "a\x85b", "a\ud83d"),
        *("zero\u200bwidth", "\ufeffpurchase", "gpj.\u202eexe", "a\u2066b"),
    ],
)
def test_a_name_that_shows_nothing_or_another_name_is_none(name: str) -> None:
    assert not is_visible(name)


def test_what_nobody_sees_is_named() -> None:
    assert hidden_character("a\u200bb") == "U+200B (zero width space)"
    assert hidden_character("a\nb") == "U+000A (control character)"
    assert hidden_character("می\u200cخرد") == ""
