"""Tenjin: `{{idfv}}`. What we took over from it, and the siblings that its names suggest."""

from types import MappingProxyType
from typing import Final

from postbacks.callbacks.macros.elsewhere.vendor import Vendor, same

_MACROS: Final = {
    **same(
        "advertising_id ip_address bundle_id campaign_id event_name campaign_name site_id click_id "
        "store_id os_version country engaged_at_ms acquired_at_ms time_in_ms device creative_name "
        "ad_network platform limit_ad_tracking_integer value revenue_usd_gross revenue_usd_net "
        "engaged_at acquired_at limit_ad_tracking app_version sdk_version language locale timezone "
        "device_model device_brand user_agent event_type product_id price currency quantity "
        "site_name app_id app_name referrer city customer_user_id"
    ),
    "time": "event_time",
    "developer_device_id": "idfv",
    "analytics_installation_id": "mmp_device_id",
    "remote_campaign_id": "campaign_id",
}

TENJIN: Final = Vendor("tenjin", "Tenjin", "{{", "}}", MappingProxyType(_MACROS))
