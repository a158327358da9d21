"""Four times in one number."""

import pytest

from postbacks.values.request_timings import RequestTimings, pack, unpack


@pytest.mark.parametrize(
    ("seconds", "milliseconds"),
    [
        ({}, (None, None, None, None)),
        ({"first_byte": 0.012}, (None, None, None, 12)),
        (
            {"dns": 0.0, "connect": 0.0004, "tls": 0.0351, "first_byte": 14.9999},
            (0, 0, 35, 15000),
        ),
        ({"dns": 3.0, "connect": 99.0}, (3000, 32766, None, None)),
        ({"tls": -0.001}, (None, None, 0, None)),
    ],
)
def test_times_come_back_in_milliseconds(
    seconds: dict[str, float], milliseconds: tuple[int | None, ...]
) -> None:
    packed = pack(**seconds)

    assert unpack(packed) == RequestTimings(*milliseconds)
    assert 0 <= packed < 2**63


def test_a_kept_connection_is_one_that_was_not_opened_and_answered() -> None:
    assert unpack(pack(first_byte=0.01)).is_reused
    assert not unpack(pack(connect=0.0, first_byte=0.01)).is_reused
    assert not unpack(pack()).is_reused
