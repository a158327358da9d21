"""A User-Agent tells the system, its version and the model, and nothing where it says nothing."""

import pytest

from postbacks.intake.links.visitors import VisitorDevice, read_device
from tests.intake.links.opening import DESKTOP, IPHONE, PHONE


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (PHONE, VisitorDevice("android", "14", "SM-G991B")),
        (IPHONE, VisitorDevice("ios", "17.5.1", "iPhone")),
        (DESKTOP, VisitorDevice("windows", "10.0")),
        (
            "Mozilla/5.0 (iPad; CPU OS 16_7 like Mac OS X) Safari/604.1",
            VisitorDevice("ios", "16.7", "iPad"),
        ),
        ("Mozilla/5.0 (Linux; Android 10; K) Chrome/126 Mobile", VisitorDevice("android", "10")),
        (
            "Mozilla/5.0 (Linux; U; Android 4.4.2; en-us; GT-I9505 Build/K) Version/4.0",
            VisitorDevice("android", "4.4.2", "GT-I9505"),
        ),
        (
            "Mozilla/5.0 (Linux; Android 9; KFMAWI) Silk/108",
            VisitorDevice("android", "9", "KFMAWI"),
        ),
        (
            "Dalvik/2.1.0 (Linux; U; Android 13; Pixel 7 Build/TQ3A)",
            VisitorDevice("android", "13", "Pixel 7"),
        ),
        (
            "Mozilla/5.0 (Android 14; Mobile; rv:126.0) Gecko/126.0 Firefox/126.0",
            VisitorDevice("android", "14", ""),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Safari/605.1",
            VisitorDevice("macos", "10.15.7"),
        ),
        ("Mozilla/5.0 (X11; Linux x86_64) Firefox/126.0", VisitorDevice("linux")),
        (
            "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/126",
            VisitorDevice("chromeos", "14541.0.0"),
        ),
        ("Windows", VisitorDevice("windows")),
        ("curl/8.5.0", VisitorDevice()),
        ("", VisitorDevice()),
        ("Android" * 1_000, VisitorDevice()),
        (
            "Mozilla/5.0 (Linux; Android " + "9.9" * 300 + "; " + "x" * 300 + ")",
            VisitorDevice("android", ("9.9" * 300)[:32], "x" * 64),
        ),
    ],
)
def test_a_device_is_read(agent: str, expected: VisitorDevice) -> None:
    assert read_device(agent) == expected


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("de-DE,de;q=0.9", "de-DE"), ("pt_BR", "pt-BR"), ("*", ""), ("", ""), ("en", "en")],
)
def test_a_language_is_the_first_that_is_accepted(accepted: str, expected: str) -> None:
    assert read_device("", accepted).language == expected
