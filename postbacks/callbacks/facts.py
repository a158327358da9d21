"""⑤ The facts of one event that its postbacks are rendered from: plain data, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from postbacks.values.attribution import AttributionFacts


# Not frozen: some of each are made for every postback, and that would take thrice as long.
@dataclass(slots=True)
class EventFacts:
    """The event; `fields` holds every other accepted field under its own name."""

    event_id: UUID
    event_name: str
    event_time: datetime
    received_at: datetime
    source: str
    platform: str | None = None
    bundle_id: str | None = None
    revenue: Decimal | None = None
    currency: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)


@dataclass(slots=True)
class AppFacts:
    """The app; `store_share` is the store's part of the revenue, 0.30 for 30 %."""

    id: UUID
    name: str
    platform: str
    store_id: str
    store_share: Decimal = Decimal("0.30")


@dataclass(slots=True)
class InstallFacts:
    """The install that the event belongs to; with `began_install` the event began it."""

    installed_at: datetime
    began_install: bool = False


@dataclass(slots=True)
class PostbackFacts:
    """The postback itself. All but `attempt` is the same for all of its attempts.

    `partner` is the id of the partner that receives it.
    """

    id: UUID
    created_at: datetime
    partner_event_name: str | None = None
    partner: str | None = None
    attempt: int = 1


@dataclass(slots=True)
class Facts:
    """Everything that macros are made of."""

    event: EventFacts
    app: AppFacts
    install: InstallFacts | None = None
    attribution: AttributionFacts = field(default_factory=AttributionFacts)
    postback: PostbackFacts | None = None


def sample_facts(platform: str = "ios") -> Facts:
    """Return a believable purchase, for previews of rules without events.

    It is of iOS, except for rules of apps on Android and Fire OS, whose macros iOS does not have.
    """
    sample = _sample_on_ios()
    fields = _ON_OTHER_PLATFORMS.get(platform)
    if fields is None:
        return sample
    shared = {name: sample.event.fields[name] for name in _ON_ALL_PLATFORMS}
    return replace(
        sample,
        event=replace(sample.event, platform=platform, fields={**shared, **fields}),
        app=replace(sample.app, platform=platform, store_id="com.example.meadow"),
    )


def _sample_on_ios() -> Facts:
    bought = datetime(2026, 1, 14, 18, 22, 41, 387_000, tzinfo=UTC)
    return Facts(
        event=EventFacts(
            event_id=UUID("3f0d6c1e-98a4-4c57-a1f2-7f5d3b9f6e02"),
            event_name="purchase",
            event_time=bought,
            received_at=bought.replace(second=42, microsecond=15_000),
            source="sdk",
            platform="ios",
            bundle_id="com.example.meadow",
            revenue=Decimal("4.99"),
            currency="USD",
            fields=_SAMPLE_FIELDS,
            params={"level": 7, "package": {"name": "500 gems", "discount": False}},
        ),
        app=AppFacts(
            id=UUID("0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55"),
            name="Merge Meadow",
            platform="ios",
            store_id="1234567890",
        ),
        install=InstallFacts(datetime(2026, 1, 12, 9, 3, 10, 120_000, tzinfo=UTC)),
        attribution=AttributionFacts(
            type="click",
            method="advertising_id",
            partner="sample-network",
            partner_name="Sample Network",
            campaign_id="summer-42",
            campaign_name="Summer US",
            site_id="pub_8812",
            click_id="c-7f3a91d2",
            creative_name="video_15s_b",
            touched_at=datetime(2026, 1, 12, 9, 1, 2, 55_000, tzinfo=UTC),
            click={"click_id": "c-7f3a91d2", "site_id": "pub_8812", "sub1": "spring"},
        ),
        postback=PostbackFacts(
            id=UUID("0198c1f0-6a10-7b21-8c44-51d9e0a7f3bb"),
            created_at=bought.replace(second=42, microsecond=63_000),
        ),
    )


_SAMPLE_FIELDS: Final[Mapping[str, object]] = {
    "install_id": "b1b6c1a2-0c5e-4a53-9d0a-6c4f0f1f2a77",
    "idfa": "6D92078A-8246-4BA4-AE5B-76104861E7DC",
    "idfv": "599F9C00-92DC-4B5C-9464-7971F01F8370",
    "customer_user_id": "user-1047",
    "ip_address": "203.0.113.7",
    "user_agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_2 like Mac OS X)",
    "os_version": "18.2",
    "app_version": "3.2.1",
    "sdk_version": "1.4.0",
    "device_model": "iPhone17,1",
    "device_brand": "Apple",
    "language": "en",
    "country": "US",
    "timezone": "America/New_York",
    "carrier": "T-Mobile",
    "quantity": 1,
    "product_id": "gems_500",
    "transaction_id": "2000000512345678",
    "limit_ad_tracking": False,
    "att_status": 3,
}
_ON_ALL_PLATFORMS: Final = (
    *("install_id", "customer_user_id", "ip_address", "app_version", "sdk_version", "language"),
    *("country", "timezone", "carrier", "quantity", "product_id", "transaction_id"),
    "limit_ad_tracking",
)
_ON_ANDROID: Final[Mapping[str, object]] = {
    "gaid": "cdda802e-fb9c-47ad-9866-0794d394c912",
    "android_id": "b7a1c3d95e20f846",
    "app_set_id": "b23fbb9d-57ec-4d8e-8f2e-8a6c1c1a1f10",
    "user_agent": "Mozilla/5.0 (Linux; Android 15; Pixel 9)",
    "os_version": "15",
    "api_level": "35",
    "device_model": "Pixel 9",
    "device_brand": "Google",
    "install_referrer": "utm_source=google-play&utm_medium=organic",
    "install_begin_time": "1768208580",
    "install_finish_time": "1768208589",
    "referrer_click_time": "1768208462",
}
_ON_OTHER_PLATFORMS: Final[Mapping[str, Mapping[str, object]]] = {
    "android": _ON_ANDROID,
    "amazon": {
        "amazon_id": "df07c7dc-cea7-4a89-b328-810ff5acb15d",
        "android_id": "b7a1c3d95e20f846",
        "user_agent": "Mozilla/5.0 (Linux; Android 11; KFTRWI)",
        "os_version": "11",
        "api_level": "30",
        "device_model": "KFTRWI",
        "device_brand": "Amazon",
    },
}
