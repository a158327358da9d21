"""Adjust: `{idfa}`. The names are those of its raw-data export."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor, same

_MACROS: Final = {
    **same(
        "event_name environment app_name app_version sdk_version platform campaign_name "
        "creative_name match_type referrer gclid gbraid wbraid click_time impression_time "
        "engagement_time install_begin_time install_finish_time timezone "
        "idfa idfv fire_adid oaid android_id att_status ip_address country region "
        "city postal_code device_name device_type device_model os_name os_version api_level "
        "language user_agent connection_type mcc mnc currency session_count "
        "lifetime_session_count time_spent cost_type cost_amount cost_currency random"
    ),
    "activity_kind": "event_type",
    "event": "event_token",
    "nonce": "callback_id",
    "publisher_parameters": "event_params_json",
    "partner_parameters": "partner_params_json",
    "created_at": "event_time",
    "created_at_milli": "event_time_ms",
    "received_at": "received_time",
    "installed_at": "install_time",
    "referral_time": "referrer_click_time",
    "reattributed_at": "reattributed_time",
    "reinstalled_at": "reinstalled_time",
    "uninstalled_at": "uninstalled_time",
    "app_id": "bundle_id",
    "app_name_dashboard": "app_name",
    "app_token": "app_id",
    "app_version_short": "app_version",
    "store": "store_id",
    "tracker": "tracker_id",
    "tracker_name": "tracker_name",
    "last_tracker": "previous_tracker_id",
    "last_tracker_name": "previous_tracker_name",
    "outdated_tracker": "previous_tracker_id",
    "outdated_tracker_name": "previous_tracker_name",
    "network_name": "ad_network",
    "adgroup_name": "adset_name",
    "search_term": "keyword",
    "is_organic": "is_organic|int",
    "is_reattributed": "is_reattribution|int",
    "impression_based": "is_view_through|int",
    "rejection_reason": "reject_reason",
    "adid": "mmp_device_id",
    "gps_adid": "gaid",
    "google_app_set_id": "app_set_id",
    "web_uuid": "web_id",
    "idfa_upper": "idfa_upper",
    "idfa_md5": "idfa_md5",
    "gps_adid_md5": "gaid_md5",
    "oaid_md5": "oaid_md5",
    "android_id_md5": "android_id_md5",
    "external_device_id_md5": "customer_user_id_md5",
    "tracking_enabled": 'limit_ad_tracking|bool:"0,1"',
    "tracking_limited": "limit_ad_tracking_integer",
    "third_party_sharing_disabled": 'third_party_sharing|bool:"0,1"',
    "device_manufacturer": "device_brand",
    "hardware_name": "device",
    "isp": "carrier",
    "revenue": "revenue|cents",
    "revenue_float": "revenue",
    "revenue_usd": "revenue_usd_gross",
    "revenue_usd_cents": "revenue_usd_cents",
    "reporting_revenue": "revenue_reporting",
    "reporting_currency": "reporting_currency",
    "sk_version": "skan_version",
    "sk_network_id": "skan_network_id",
    "sk_campaign_id": "skan_campaign_id",
    "sk_source_identifier": "skan_source_identifier",
    "sk_conversion_value": "skan_conversion_value",
    "sk_coarse_conversion_value": "skan_coarse_value",
    "sk_did_win": "skan_did_win",
    "sk_postback_sequence_index": "skan_sequence",
    "sk_redownload": "skan_redownload",
    "sk_transaction_id": "skan_transaction_id",
    "sk_attribution_signature": "skan_signature",
    "sk_fidelity_type": "skan_fidelity",
    "sk_source_app_id": "skan_source_app_id",
    "sk_source_domain": "skan_source_domain",
    "sk_payload": "skan_payload",
}

ADJUST: Final = Vendor("adjust", "Adjust", "{", "}", MappingProxyType(_MACROS))
