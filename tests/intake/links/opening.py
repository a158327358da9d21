"""People and programs who open tracking links, and what we kept of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.test import Client

from apps_registry.models import App, TrackingLink
from apps_registry.tenancy import tenant
from postbacks.models import Touchpoint
from tests import make

PHONE = (
    "Mozilla/5.0 (Linux; Android 14; SM-G991B Build/UP1A.231005.007) AppleWebKit/537.36 "
    "(KHTML, like Gecko) Chrome/126.0.0.0 Mobile Safari/537.36"
)
IPHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5_1 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1"
)
DESKTOP = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0"


@dataclass(frozen=True, slots=True)
class Advertised:
    """An app that is promoted by a link, and how to open it."""

    tenant: make.Tenant
    link: TrackingLink

    def click(
        self, query: str = "", *, agent: str = PHONE, address: str = "127.0.0.1", **headers: str
    ) -> Any:
        return self._open("c", query, address, {"User-Agent": agent, **headers})

    def see(
        self, query: str = "", *, agent: str = PHONE, address: str = "127.0.0.1", **headers: str
    ) -> Any:
        return self._open("i", query, address, {"User-Agent": agent, **headers})

    def _open(self, door: str, query: str, sender: str, headers: Mapping[str, str]) -> Any:
        # As a path with its query: the client would encode a mapping by itself.
        address = f"/{door}/{self.link.token}" + (f"?{query}" if query else "")
        return Client(REMOTE_ADDR=sender).get(address, headers=headers)

    def touchpoints(self) -> list[Touchpoint]:
        with tenant(self.tenant.organization.pk):
            return list(Touchpoint.objects.order_by("id"))

    def touchpoint(self) -> Touchpoint:
        (only,) = self.touchpoints()
        return only


def advertise(
    platform: str = "android", *, app: Mapping[str, Any] = {}, **fields: Any
) -> Advertised:
    made = make.make_tenant()
    store = {"android": "com.example.game", "ios": "1234567890"}.get(platform, "")
    with tenant(made.organization.pk):
        App.objects.filter(pk=made.app.pk).update(
            **{"platform": platform, "store_id": store, **app}
        )
        campaign = make.make_campaign(made.app, make.make_partner("Unity Ads"))
        link = make.make_link(campaign, **fields)
    return Advertised(made, link)


def referrer_of(location: str) -> dict[str, str]:
    """Return what Google's store would hand to the app."""
    (referrer,) = parse_qs(urlsplit(location).query)["referrer"]
    return {name: value for name, (value,) in parse_qs(referrer).items()}
