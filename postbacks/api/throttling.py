"""Rate limits of the API: callers above them are answered 429 with Retry-After."""

from django.conf import settings
from rest_framework import exceptions

from apps_registry.client_address import client_network
from postbacks.infrastructure.rate_limits import limiter
from postbacks.infrastructure.rate_limits.counting import RateVerdict
from postbacks.intake.sdk_keys import KnownKey, Reporter


class TooFast(exceptions.Throttled):
    """More calls than the operator allows; the next may come after `wait` seconds."""

    def __init__(self, what: str, wait: int) -> None:
        unit = "second" if wait == 1 else "seconds"
        exceptions.APIException.__init__(self, f"{what}; try again in {wait} {unit}.")
        self.wait = wait


def throttle_sdk_key(key: KnownKey, address: str | None) -> None:
    """Raise TooFast for an SDK key that reports too much.

    A key inside an app is public, so each address that uses it has a limit of its own, in requests,
    of which a device makes few. A server's key is limited by its events.
    """
    if key.is_server:
        rate = settings.RATE_LIMIT_SDK_SERVER
        verdict = limiter.limit(_server_key(key.organization_id, key.id), rate)
    else:
        name = f"app-key:{key.organization_id}:{key.id}:{client_network(address)}"
        verdict = limiter.limit(name, settings.RATE_LIMIT_SDK_APP)
    _enforce(verdict, "This SDK key reports too much")


def count_events(reporter: Reporter, count: int) -> None:
    """Count the events of a server's request; the request itself has counted as the first."""
    if reporter.is_server and count > 1:
        name = _server_key(reporter.organization_id, reporter.key_id)
        limiter.add(name, settings.RATE_LIMIT_SDK_SERVER, count=count - 1)


def throttle_erasures(reporter: Reporter, address: str | None) -> None:
    """Raise TooFast for a key that requests too many erasures: each of them is much work."""
    network = "" if reporter.is_server else f":{client_network(address)}"
    name = f"forget:{reporter.organization_id}:{reporter.key_id}{network}"
    verdict = limiter.limit(name, settings.RATE_LIMIT_ERASURES)
    _enforce(verdict, "This SDK key requests too many erasures")


def throttle_api_token(organization_id: int, token_id: int) -> None:
    """Raise TooFast for an API token that calls too often."""
    verdict = limiter.limit(f"token:{organization_id}:{token_id}", settings.RATE_LIMIT_API)
    _enforce(verdict, "This API token calls too often")


def throttle_unknown_keys(address: str | None) -> None:
    """Raise TooFast for an address that sends too many unknown keys.

    Known keys from there keep working: many people may share an address.
    """
    verdict = limiter.limit(f"unknown:{client_network(address)}", settings.RATE_LIMIT_UNKNOWN)
    _enforce(verdict, "Too many calls from your address had no key that we know")


def throttle_links(verdict: RateVerdict) -> None:
    """Raise TooFast for a server that reports too many touchpoints by one link."""
    _enforce(verdict, "Too many touchpoints of this link came from your address")


def throttle_copies(address: str | None) -> None:
    """Raise TooFast for an address that sends too many copies of Apple's postbacks."""
    verdict = limiter.limit(f"copies:{client_network(address)}", settings.RATE_LIMIT_SDK_APP)
    _enforce(verdict, "Too many copies came from your address")


def throttle_unclaimed_copies(address: str | None) -> None:
    """Raise TooFast for an address that sends too many copies of apps that nobody has."""
    verdict = limiter.limit(
        f"strange-copies:{client_network(address)}", settings.RATE_LIMIT_UNKNOWN
    )
    _enforce(verdict, "Too many copies from your address are of apps that no organization has")


def _enforce(verdict: RateVerdict, what: str) -> None:
    if not verdict.allowed:
        raise TooFast(what, verdict.retry_after)


def _server_key(organization_id: int, key_id: int) -> str:
    return f"server-key:{organization_id}:{key_id}"
