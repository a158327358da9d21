"""The device, its ids and its person's choices: the catalogue's rows, one line each."""

from typing import Final

from postbacks.callbacks.macros.entry_rows import (
    ANDROID,
    APPLE,
    BOOL,
    INT,
    TEXT,
    UUID,
    device_,
    id_,
    personal,
    privacy_,
)
from postbacks.callbacks.macros.macro import Macro

# fmt: off
DEVICE: Final[tuple[Macro, ...]] = (
    *personal(
        id_(
            ("advertising_id", TEXT, "6D92078A-8246-4BA4-AE5B-76104861E7DC", "IDFA, GAID or Fire OS id, as the platform has it"),  # noqa: E501
            ("install_id", TEXT, UUID, "The SDK's id of this install"),
            ("mmp_device_id", TEXT, UUID, "Another name for install_id"),
            ("customer_user_id", TEXT, "user-1047", "Your own id of the user"),
            ("web_id", TEXT, "w-5521", "Your website's id of the visitor"),
        ),
    ),
    *personal(
        id_(
            ("idfa", TEXT, "6D92078A-8246-4BA4-AE5B-76104861E7DC", "Apple's advertising id"),
            ("idfv", TEXT, "599F9C00-92DC-4B5C-9464-7971F01F8370", "Apple's id of this vendor"),
            ("adservices_token", TEXT, "a3NlZ2xlc2Zo", "Apple's token for AdServices"),
        ),
        *APPLE,
    ),
    *personal(
        id_(
            ("gaid", TEXT, "cdda802e-fb9c-47ad-9866-0794d394c912", "Google's advertising id"),
            ("android_id", TEXT, "9774d56d682e549c", "Android's id of device and app"),
            ("app_set_id", TEXT, "b23fbb9d-57ec-4d8e-8f2e-8a6c1c1a1f10", "Google's id of this vendor"),  # noqa: E501
            ("imei", TEXT, "353879234252633", "The phone's serial number, if the app reports it"),
            ("install_referrer", TEXT, "utm_source=google-play", "The Play store's referrer"),
            ("referrer", TEXT, "utm_source=google-play", "Another name for install_referrer"),
        ),
        *ANDROID,
    ),
    *personal(
        id_(
            ("oaid", TEXT, "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5", "Open advertising id of Chinese devices"),  # noqa: E501
        ),
        "android",
    ),
    *personal(
        id_(
            ("amazon_id", TEXT, "df07c7dc-cea7-4a89-b328-810ff5acb15d", "Fire OS's advertising id"),
            ("fire_adid", TEXT, "df07c7dc-cea7-4a89-b328-810ff5acb15d", "Another name for amazon_id"),  # noqa: E501
        ),
        "amazon", "android", "tv",
    ),
    *personal(
        device_(
            ("ip_address", TEXT, "203.0.113.7", "The device's IP address"),
            ("ip_anonymized", TEXT, "203.0.113.0", "The IP address without its last part"),
            ("user_agent", TEXT, "Mozilla/5.0 (iPhone)", "The device's user agent"),
            ("device_name", TEXT, "Anna's iPhone", "What its owner calls the device"),
            ("postal_code", TEXT, "10115", "Postal code, if the app reports it"),
            ("city", TEXT, "Berlin", "City, if the app reports it"),
        ),
    ),
    *device_(
        ("country", TEXT, "DE", "Country, two letters: the event's, else that of its IP address where the operator has a GeoIP database"),  # noqa: E501
        ("region", TEXT, "BE", "Region, if the app reports it"),
        ("device", TEXT, "iPhone17,1", "The device's model"),
        ("device_model", TEXT, "iPhone17,1", "The device's model"),
        ("device_brand", TEXT, "Apple", "Who made the device"),
        ("device_type", TEXT, "phone", "phone, tablet, … if the app reports it"),
        ("os_name", TEXT, "ios", "The operating system, the same as platform unless reported"),
        ("os_version", TEXT, "18.2", "The operating system's version"),
        ("api_level", TEXT, "35", "Android's API level, if the app reports it"),
        ("language", TEXT, "de", "The device's language"),
        ("locale", TEXT, "de_DE", "The device's locale, if the app reports it"),
        ("carrier", TEXT, "Telekom.de", "The mobile operator"),
        ("connection_type", TEXT, "wifi", "wifi, cellular, … if the app reports it"),
        ("mcc", TEXT, "262", "Mobile country code, if the app reports it"),
        ("mnc", TEXT, "01", "Mobile network code, if the app reports it"),
    ),
    *privacy_(
        ("limit_ad_tracking", BOOL, "false", "The user limits ad tracking"),
        ("limit_ad_tracking_integer", INT, "0", "The user limits ad tracking: 1 or 0"),
        ("att_status", INT, "3", "Apple's permission: 0 not asked, 1 restricted, 2 denied, 3 given"),  # noqa: E501
        ("gdpr_applies", BOOL, "true", "European data protection applies"),
        ("third_party_sharing", BOOL, "true", "false if the user opted out of sharing with all partners"),  # noqa: E501
        ("tcf_string", TEXT, "CQAAAAAQAAAAA", "The consent string of IAB's framework"),
        ("eea", BOOL, "true", "The user is in the European Economic Area"),
        ("ad_user_data", BOOL, "true", "Consent to send user data for ads"),
        ("ad_personalization", BOOL, "true", "Consent to personalized ads"),
        ("consent_ad_user_data", BOOL, "true", "Another name for ad_user_data"),
        ("consent_ad_personalization", BOOL, "true", "Another name for ad_personalization"),
        ("us_privacy", TEXT, "1YNN", "The US privacy string"),
    ),
)
# fmt: on
