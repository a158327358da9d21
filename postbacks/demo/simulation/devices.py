"""Simulated devices: market, hardware, identifiers and consent."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

from postbacks.demo.networks import DemoApp

NO_ID = "00000000-0000-0000-0000-000000000000"
_DOCUMENTATION_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737


@dataclass(frozen=True, slots=True)
class Market:
    """A country; `gdpr` says whether users are asked for consent."""

    country: str
    language: str
    time_zone: str
    currency: str
    carrier: str
    gdpr: bool = False


_MARKETS = (
    Market("US", "en-US", "America/Chicago", "USD", "Verizon"),
    Market("DE", "de-DE", "Europe/Berlin", "EUR", "Telekom", gdpr=True),
    Market("FR", "fr-FR", "Europe/Paris", "EUR", "Orange", gdpr=True),
    Market("GB", "en-GB", "Europe/London", "GBP", "EE", gdpr=True),
    Market("JP", "ja-JP", "Asia/Tokyo", "JPY", "NTT DOCOMO"),
    Market("BR", "pt-BR", "America/Sao_Paulo", "BRL", "Claro"),
)
_MARKET_SHARES = (34, 15, 10, 13, 15, 13)
_IOS_MODELS = ("iPhone14,5", "iPhone15,2", "iPhone16,1", "iPhone17,3", "iPad13,18")
_IOS_VERSIONS = ("16.7.10", "17.6.1", "18.5", "18.6.2")
_ANDROID_MODELS = (
    ("Samsung", "SM-S921B"),
    ("Google", "Pixel 8"),
    ("Xiaomi", "23129RAA4G"),
    ("OPPO", "CPH2591"),
    ("motorola", "moto g84 5G"),
)
_ANDROID_VERSIONS = ("12", "13", "14", "15")
_APP_VERSIONS = ("3.2.0", "3.2.1", "3.3.0")


@dataclass(frozen=True, slots=True)
class SimulatedDevice:
    """A user's device; the SDK sends `sdk_fields` with every event.

    Installs and opens also carry `evidence` of the touch that led to the install.
    """

    app: DemoApp
    market: Market
    customer_user_id: str
    sdk_fields: Mapping[str, object]
    evidence: Mapping[str, object] = field(default_factory=dict)


def make_device(rng: Random, app: DemoApp, bundle_id: str) -> SimulatedDevice:
    """Return a new device, whose consent stays the same all day."""
    [market] = rng.choices(_MARKETS, weights=_MARKET_SHARES)
    hardware = _ios_device(rng) if app is DemoApp.IOS else _android_device(rng)
    sdk_fields: dict[str, object] = {
        "platform": app.value,
        "bundle_id": bundle_id,
        "install_id": new_id(rng),
        "app_version": rng.choice(_APP_VERSIONS),
        "sdk_version": "1.4.2",
        "country": market.country,
        "language": market.language,
        "timezone": market.time_zone,
        "carrier": market.carrier,
        "ip_address": _address(rng),
    }
    return SimulatedDevice(
        app=app,
        market=market,
        customer_user_id=f"gh-{rng.getrandbits(40):010x}",
        sdk_fields=sdk_fields | hardware | _consent(rng, market),
    )


def new_id(rng: Random) -> str:
    """Return a random UUID that the seed decides."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


def _ios_device(rng: Random) -> dict[str, object]:
    # App Tracking Transparency: 0 not asked yet, 1 restricted, 2 denied, 3 allowed.
    [att_status] = rng.choices((0, 1, 2, 3), weights=(12, 3, 35, 50))
    return {
        "idfa": new_id(rng).upper() if att_status == 3 else NO_ID,
        "idfv": new_id(rng).upper(),
        "att_status": att_status,
        "limit_ad_tracking": att_status in (1, 2),
        "device_brand": "Apple",
        "device_model": rng.choice(_IOS_MODELS),
        "os_version": rng.choice(_IOS_VERSIONS),
        "user_agent": "GemHarbor/3 CFNetwork/1568.300.101 Darwin/24.6.0",
    }


def _android_device(rng: Random) -> dict[str, object]:
    brand, model = rng.choice(_ANDROID_MODELS)
    version = rng.choice(_ANDROID_VERSIONS)
    opted_out = rng.random() < 0.2
    return {
        "gaid": NO_ID if opted_out else new_id(rng),
        "app_set_id": new_id(rng),
        "limit_ad_tracking": opted_out,
        "device_brand": brand,
        "device_model": model,
        "os_version": version,
        "user_agent": f"Dalvik/2.1.0 (Linux; U; Android {version}; {model})",
    }


def _consent(rng: Random, market: Market) -> dict[str, object]:
    """Return the answer of a consent dialog, where the law asks for one."""
    if not market.gdpr:
        return {}
    agreed = rng.random() < 0.75
    return {"gdpr_applies": True, "ad_user_data": agreed, "ad_personalization": agreed}


def _address(rng: Random) -> str:
    if rng.random() < 0.25:
        # RFC 3849: the same for IPv6.
        return f"2001:db8:{rng.randint(1, 0xFFFF):x}:{rng.randint(1, 0xFFFF):x}::1"
    return f"{rng.choice(_DOCUMENTATION_NETWORKS)}.{rng.randint(1, 254)}"
