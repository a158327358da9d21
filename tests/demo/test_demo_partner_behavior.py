"""The shares of errors and delays of the stand-in ad network."""

from http import HTTPStatus

import pytest

from postbacks.demo.partner import server


@pytest.mark.parametrize(
    ("path", "status", "share"),
    [
        ("/ok", HTTPStatus.OK, 1.0),
        ("/flaky", HTTPStatus.INTERNAL_SERVER_ERROR, 0.04),
        ("/limited", HTTPStatus.TOO_MANY_REQUESTS, 0.03),
        ("/picky", HTTPStatus.NOT_FOUND, 0.12),
        ("/moody", HTTPStatus.INTERNAL_SERVER_ERROR, 0.04),
        ("/moody", HTTPStatus.TOO_MANY_REQUESTS, 0.03),
        ("/anything/else", HTTPStatus.OK, 1.0),
    ],
)
def test_each_mood_strikes_its_share_of_the_keys(
    path: str, status: HTTPStatus, share: float
) -> None:
    path_behavior = server.behavior_of(path)

    verdicts = [server.first_status(path_behavior, str(number)) for number in range(20_000)]

    assert verdicts.count(status) / len(verdicts) == pytest.approx(share, rel=0.15)


def test_delays_lie_between_150_and_400_milliseconds() -> None:
    path_behavior = server.behavior_of("/slow")

    delays = [server.response_delay(path_behavior, str(number)) for number in range(20_000)]

    slow = [seconds for seconds in delays if seconds]
    assert 0.150 <= min(slow) < 0.160
    assert 0.390 < max(slow) <= 0.400
    assert len(slow) / len(delays) == pytest.approx(0.05, rel=0.15)
