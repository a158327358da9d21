"""AppsFlyer: `(idfa)`, hashes by a prefix: `(sha1-idfa)`; the names of its help center."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor, same

_MACROS: Final = {
    **same(
        "idfa idfv oaid event_name event_time event_type event_value "
        "install_time app_name app_version bundle_id platform region city postal_code device_model "
        "os_version language user_agent carrier customer_user_id keyword reject_reason app_id "
        "sdk_version is_rejected"
    ),
    "app-id": "store_id",
    "app-name": "app_name",
    "app-version-name": "app_version",
    "advertiserId": "gaid",
    "advertising_id": "gaid",  # Android's; Apple's is idfa
    "android-id": "android_id",
    "amazon_aid": "amazon_id",
    "appsflyer_id": "mmp_device_id",
    "appsflyer-id": "mmp_device_id",
    "sha1-idfa": "idfa_sha1",
    "sha1-advertiserId": "gaid_sha1",
    "sha1-android-id": "android_id_sha1",
    "md5-idfa": "idfa_md5",
    "md5-advertiserId": "gaid_md5",
    "wifi": 'connection_type|map:"wifi=true,cellular=false"',
    "ip": "ip_address",
    "country_code": "country",
    "country-code": "country",
    "device_carrier": "carrier",
    "device_category": "device_type",
    "operator": "carrier",
    "lang": "language",
    "is_lat": "limit_ad_tracking",
    "att": "att_status",
    "install-unix-ts": "install_time",
    "click-ts": "click_time",
    "event-name": "event_name",
    "event-value": "event_value",
    "event-time": "event_time",
    "timestamp": "event_time",
    "attributed_touch_time": "engagement_time",
    "attributed_touch_type": "attribution_type",
    "gp_install_begin": "install_begin_time",
    "gp_click_time": "referrer_click_time",
    "gp_referrer": "referrer",
    "selected_timezone": "timezone",
    "partner_event_id": "event_token",
    "media_source": "ad_network",
    "media-source": "ad_network",
    "campaign": "campaign_name",
    "campaign-id": "campaign_id",
    "af_c_id": "campaign_id",
    "af_adset": "adset_name",
    "af_adset_id": "adset_id",
    "af_ad": "ad_name",
    "af_ad_id": "ad_id",
    "af_siteid": "site_id",
    "af_sub_siteid": "sub_site_id",
    "af_keywords": "keyword",
    "af_prt": "agency",
    "clickid": "click_id",
    "click_id": "click_id",
    **{f"af_sub{number}": f"sub{number}" for number in range(1, 6)},
    "af_cost_model": "cost_type",
    "af_cost_value": "cost_amount",
    "af_cost_currency": "cost_currency",
    "reject_reason_value": "reject_value",
    "event_revenue": "revenue",
    "event_revenue_currency": "currency",
    "event_revenue_USD": "revenue_usd_gross",
    "event_revenue_usd": "revenue_usd_gross",
    "revenue_in_selected_currency": "revenue_reporting",
    "is_receipt_validated": "receipt_valid",
}

APPSFLYER: Final = Vendor("appsflyer", "AppsFlyer", "(", ")", MappingProxyType(_MACROS))
