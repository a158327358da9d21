"""Singular: `{IDFA}`; the names of its help center."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor

_MACROS: Final = {
    "APP_NAME": "app_name",
    "LONGNAME": "bundle_id",
    "PUBLIC_ID": "store_id",
    "EVENT_IP": "ip_address",
    "ATTRIBUTION_IP": "ip_address",
    "OS_VERSION": "os_version",
    "AMOUNT": "revenue",
    "CURRENCY": "currency",
    "EVTNAME": "event_name",
    "EVTATTRS": "event_params_json",
    "TIME": 'event_time|date:"%Y-%m-%d %H:%M:%S"',
    "UTC": "event_time",
    "UTCM": "event_time_ms",
    "CLICK_TIME": 'click_time|date:"%Y-%m-%d %H:%M:%S"',
    "CLICK_UTC": "click_time",
    "INSTALL_TIME": 'install_time|date:"%Y-%m-%d %H:%M:%S"',
    "INSTALL_UTC": "install_time",
    "IDFA": "idfa",
    "IDFV": "idfv",
    "AIFA": "gaid",
    "PLATFORM": "platform",
    "ATTRIBUTION_COUNTRY": "country",
    "APP_VERSION": "app_version",
    "DEVICE_MODEL": "device_model",
    "CID": "campaign_id",
    "CLID": "click_id",
    "IS_RE_ENG": "is_reengagement|int",
    "IS_VIEWTHROUGH": "is_view_through|int",
    # Passed through from one network's links: {cl?Network}; written here without the network.
    "cl": "click_id",
    "pcrid": "creative_id",
    "pcrn": "creative_name",
    "psid": "site_id",
    "psn": "site_name",
}

SINGULAR: Final = Vendor("singular", "Singular", "{", "}", MappingProxyType(_MACROS))
