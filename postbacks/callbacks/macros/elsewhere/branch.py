"""Branch: FreeMarker, `${(user_data.idfa)!}`; the names of its page on postback macros."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor

_USER: Final = {
    "idfa": "idfa", "idfv": "idfv", "aaid": "gaid", "oaid": "oaid", "android_id": "android_id",
    "kindle_aid": "amazon_id", "developer_identity": "customer_user_id", "ip": "ip_address",
    "user_agent": "user_agent", "os": "os_name", "os_version": "os_version",
    "os_version_android": "api_level", "platform": "platform", "language": "language",
    "sdk_version": "sdk_version", "app_version": "app_version", "device_type": "device_type",
    "carrier_name": "carrier", "brand": "device_brand", "model": "device_model",
    "geo_country_code": "country", "geo_region_code": "region", "geo_city_en": "city",
    "geo_postal_code": "postal_code", "internet_connection_type": "connection_type",
    "environment": "environment",
    "limit_ad_tracking": "limit_ad_tracking",
}  # fmt: skip
_TOUCH: Final = {
    "~id": "click_id", "~campaign": "campaign_name", "~campaign_id": "campaign_id",
    "~advertising_partner_name": "ad_network", "~ad_set_name": "adset_name",
    "~ad_set_id": "adset_id", "~ad_name": "ad_name", "~ad_id": "ad_id",
    "~creative_name": "creative_name", "~creative_id": "creative_id",
    "~secondary_publisher": "site_id", "~agency": "agency", "~keyword": "keyword",
    "gclid": "gclid",
}  # fmt: skip
_MACROS: Final = {
    "name": "event_name",
    "customer_event_alias": "event_name",
    "id": "event_id",
    "event_timestamp": "event_time_ms",
    "timestamp": "event_time_ms",
    "webhook_id": "callback_id",
    **{f"user_data.{theirs}": ours for theirs, ours in _USER.items()},
    **{f"last_attributed_touch_data.{theirs}": ours for theirs, ours in _TOUCH.items()},
    "last_attributed_touch_timestamp": "engagement_time_ms",
    "install_activity.timestamp": "install_time_ms",
    "bundle.ios.bundle_id": "bundle_id",
    "bundle.android.package_name": "bundle_id",
    "event_data.revenue": "revenue",
    "event_data.revenue_in_usd": "revenue_usd_gross",
    "event_data.currency": "currency",
    "event_data.transaction_id": "transaction_id",
    "content_items[0].$sku": "product_id",
    "content_items[0].$price": "price",
    "content_items[0].$quantity": "quantity",
}

BRANCH: Final = Vendor("branch", "Branch", "${(", ")!}", MappingProxyType(_MACROS))
