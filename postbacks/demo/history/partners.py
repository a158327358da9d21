"""How the demo's partners answered in the days before."""

import json
from datetime import datetime, timedelta
from random import Random

from postbacks.delivery.http.response import Reply, TransportFailure
from postbacks.demo.networks import KITEBIRD, TIDAL

# Lumen Ads was down for some hours, five days ago; now and then one fails and takes it later.
_OUTAGE_BEGAN, _OUTAGE_LASTED = timedelta(days=4, hours=19), timedelta(hours=7)
_FAILS_ONCE, _REFUSES, _IS_SLOW = 0.03, 0.012, 0.04
_HEADERS = {"Content-Type": "application/json", "Server": "nginx"}


def answer(rng: Random, url: str, *, at: datetime, now: datetime, is_retry: bool) -> Reply:
    """Return a partner's answer to a request at a moment."""
    duration_ms = int(rng.lognormvariate(3.2, 0.5))
    began = now - _OUTAGE_BEGAN
    if _is_of_lumen(url) and began <= at < began + _OUTAGE_LASTED:
        if rng.random() < 0.3:
            detail = "No answer within 15 s."
            return Reply(error=TransportFailure.TIMEOUT, detail=detail, duration_ms=15_000)
        return _reply(503, {"error": "maintenance"}, duration_ms)
    chance = rng.random()
    if chance < _REFUSES:
        return _reply(404, {"error": "unknown campaign"}, duration_ms)
    if chance < _REFUSES + _FAILS_ONCE and not is_retry:
        return _reply(500, {"error": "try again"}, duration_ms * 3)
    if chance > 1 - _IS_SLOW:
        duration_ms += rng.randint(300, 1200)
    return _reply(200, {"status": "ok"}, duration_ms)


def _is_of_lumen(url: str) -> bool:
    """Return whether a request goes to Lumen's ad server, whose paths say how the stand-in acts."""
    others = any(f"/{network.short}/" in url for network in (TIDAL, KITEBIRD))
    return not others and any(f"/{word}/" in url for word in ("moody", "limited", "flaky"))


def _reply(status: int, body: dict[str, str], duration_ms: int) -> Reply:
    text = json.dumps(body).encode()
    return Reply(status_code=status, headers=_HEADERS, body=text, duration_ms=duration_ms)
