"""Tenjin's names of parameters beside ours.

Source: Tenjin's server-to-server documentation, and what its SDKs send.
"""

# Everything that says who and where, by our field's name. What is in no table is kept in `params`.
DEVICE = {
    "analytics_installation_id": "install_id",
    "customer_user_id": "customer_user_id",
    "oaid": "oaid",
    "ip_address": "ip_address",
    "user_agent": "user_agent",
    "app_version": "app_version",
    "sdk_version": "sdk_version",
    "device": "device",
    "device_model": "device_model",
    "device_brand": "device_brand",
    "language": "language",
    "locale": "locale",
    "country": "country",
    "timezone": "timezone",
    "carrier": "carrier",
    "connection_type": "connection_type",
    "referrer": "install_referrer",
    "attribution_token": "adservices_token",
    "iab_tcf": "tcf_string",
    "bundle_id": "bundle_id",
}

FLAGS = frozenset({"limit_ad_tracking", "ad_user_data", "ad_personalization"})
TRACKING_STATUS = "tracking_status"  # Apple's four answers to the question about tracking

# A key that stands among the parameters must not be stored with them.
SECRETS = frozenset({"api_key"})

PLATFORMS = {
    "ios": "ios",
    "android": "android",
    "android_other": "android",  # without Google Play
    "amazon": "amazon",
    "windows": "windows",
}

# Without Google Play an Android device has whatever its maker calls an advertising id.
ADVERTISING_IDS = {"ios": "idfa", "android": "gaid", "amazon": "amazon_id"}

OURS_TO_THEIRS = {
    **{ours: theirs for theirs, ours in DEVICE.items()},
    "idfv": "developer_device_id",
    "idfa": "advertising_id",
    "gaid": "advertising_id",
    "amazon_id": "advertising_id",
    "att_status": TRACKING_STATUS,
    "event_name": "event",
    "event_time": "sent_at",
    "revenue": "price",
}
