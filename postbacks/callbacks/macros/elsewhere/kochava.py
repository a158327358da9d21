"""Kochava: `{idfa}`. Its page hides the names: these are its server-to-server parameters."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor, same

_MACROS: Final = {
    **same(
        "event_name event_value currency idfa idfv android_id oaid click_id campaign_id site_id "
        "creative_id country platform app_version bundle_id carrier"
    ),
    "adid": "gaid",
    "kochava_device_id": "mmp_device_id",
    "device_ip": "ip_address",
    "origination_ip": "ip_address",
    "device_ua": "user_agent",
    "usertime": "event_time",
    "event_time": "event_time",
    "install_date": "install_time",
    "click_date": "click_time",
    "network_name": "ad_network",
    "campaign_name": "campaign_name",
    "usd_event_value": "revenue_usd_gross",
    "app_tracking_transparency": "att_status",
}

KOCHAVA: Final = Vendor("kochava", "Kochava", "{", "}", MappingProxyType(_MACROS))
