"""The catalogue's rows, one line each, by group and in the order in which people see them.

Click ids are not personal here: they are the partner's own numbers for its clicks, returned to it.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Final

from postbacks.callbacks.macros.macro import Group, Macro, MacroType

_APPLE: Final = ("ios", "tv")
_ANDROID: Final = ("android",)
_TEXT: Final = MacroType.TEXT
_INT: Final = MacroType.INTEGER
_DEC: Final = MacroType.DECIMAL
_BOOL: Final = MacroType.BOOLEAN
_TIME: Final = MacroType.TIME
_JSON: Final = MacroType.JSON
_UUID: Final = "0198c1f0-5b7e-7c3a-9d40-2f6a1c8e7b55"
_MS: Final = "1767225600000"
_SECONDS: Final = "1767225600"


def _rows(group: Group, *rows: tuple[str, MacroType, str, str]) -> Iterator[Macro]:
    for name, kind, example, description in rows:
        yield Macro(name, group, description, kind, example)


def _personal(macros: Iterator[Macro], *platforms: str) -> Iterator[Macro]:
    yield from (replace(it, personal=True, platforms=platforms) for it in macros)


_event = partial(_rows, Group.EVENT)
_time = partial(_rows, Group.TIME)
_app = partial(_rows, Group.APP)
_attribution = partial(_rows, Group.ATTRIBUTION)
_id = partial(_rows, Group.DEVICE_IDS)
_device = partial(_rows, Group.DEVICE)
_privacy = partial(_rows, Group.PRIVACY)
_money = partial(_rows, Group.MONEY)
_ad = partial(_rows, Group.AD_IMPRESSION)
_skan = partial(_rows, Group.SKADNETWORK)
_postback = partial(_rows, Group.POSTBACK)

# fmt: off
ENTRIES: Final[tuple[Macro, ...]] = (
    *_event(
        ("event_id", _TEXT, _UUID, "The event's own id, the same however often it is sent"),
        ("event_name", _TEXT, "purchase", "The event's name in the app"),
        ("partner_event_name", _TEXT, "af_purchase", "The event's name for this partner, from the rule's event map"),  # noqa: E501
        ("event_token", _TEXT, "af_purchase", "Another name for partner_event_name"),
        ("event_type", _TEXT, "purchase", "install, reinstall, reengagement, open, purchase, … or event for all others"),  # noqa: E501
        ("event_params_json", _JSON, '{"level":7}', "All of the event's own parameters as JSON"),
        ("params", _JSON, '{"level":7}', "The event's own parameters; params.level is one of them"),
        ("source", _TEXT, "sdk", "Who reported the event: sdk, server, tenjin or system"),
        ("product_id", _TEXT, "gems_500", "The product that was bought"),
        ("quantity", _INT, "1", "How many were bought"),
        ("transaction_id", _TEXT, "2000000512345678", "The store's number of the purchase"),
        ("environment", _TEXT, "production", "sandbox or production, if the app reports it"),
        ("lifetime_session_count", _INT, "40", "Sessions over all installs, if the app reports it"),
        ("session_count", _INT, "12", "Sessions so far, if the app reports them"),
        ("time_spent", _INT, "340", "Seconds in the session, if the app reports them"),
    ),
    *_time(
        ("event_time", _TIME, _SECONDS, "When the event happened on the device"),
        ("time_in_ms", _INT, _MS, "When the event happened, in milliseconds"),
        ("received_at", _TIME, _SECONDS, "When the event reached us"),
        ("received_time", _TIME, _SECONDS, "Another name for received_at"),
        ("acquired_at", _TIME, _SECONDS, "When the app was installed"),
        ("acquired_at_ms", _INT, _MS, "When the app was installed, in milliseconds"),
        ("install_time", _TIME, _SECONDS, "Another name for acquired_at"),
        ("engaged_at", _TIME, _SECONDS, "When the ad was clicked or seen; none for organic installs"),  # noqa: E501
        ("engaged_at_ms", _INT, _MS, "When the ad was clicked or seen, in milliseconds"),
        ("engagement_time", _TIME, _SECONDS, "Another name for engaged_at"),
        ("click_time", _TIME, _SECONDS, "When the ad was clicked; none if it was only seen"),
        ("impression_time", _TIME, _SECONDS, "When the ad was seen; none if it was clicked"),
        ("install_begin_time", _TIME, _SECONDS, "When the Play store began the download"),
        ("install_finish_time", _TIME, _SECONDS, "When the Play store ended the download"),
        ("referrer_click_time", _TIME, _SECONDS, "When the Play store was opened by the click"),
        ("timezone", _TEXT, "Europe/Berlin", "The device's time zone"),
    ),
    *_app(
        ("app_id", _TEXT, _UUID, "The app's id here"),
        ("app_name", _TEXT, "Merge Meadow", "The app's name"),
        ("bundle_id", _TEXT, "com.example.meadow", "The bundle ID or Android package"),
        ("store_id", _TEXT, "1234567890", "Apple's number or Google's package name"),
        ("platform", _TEXT, "ios", "ios, android, amazon, windows, web, tv or other"),
        ("app_version", _TEXT, "3.2.1", "The app's version"),
        ("sdk_version", _TEXT, "1.4.0", "The SDK's version"),
    ),
    *_attribution(
        ("ad_network", _TEXT, "AppLovin", "The partner who brought the install, or organic"),
        ("campaign_id", _TEXT, "summer-42", "The campaign's id; none for organic installs"),
        ("campaign_name", _TEXT, "Summer US", "The campaign's name; none for organic installs"),
        ("creative_name", _TEXT, "video_15s_b", "The creative's name; none for organic installs"),
        ("site_id", _TEXT, "pub_8812", "The publisher's app or site; none for organic installs"),
        ("click_id", _TEXT, "c-7f3a91d2", "The network's id of the click; none for organic installs"),  # noqa: E501
        ("click", _JSON, '{"sub1":"a"}', "The click URL's parameters; click.sub1 is one of them"),
        ("is_organic", _BOOL, "false", "No ad brought this install"),
        ("is_attributed", _BOOL, "true", "An ad brought this install"),
        ("is_view_through", _BOOL, "false", "The ad was seen, not clicked"),
        ("attribution_type", _TEXT, "click", "click, impression or organic"),
        ("match_type", _TEXT, "referrer", "How the install was matched; none for organic installs"),
        ("adset_id", _TEXT, "as-9", "The ad set's id, if the click URL has it"),
        ("adset_name", _TEXT, "Lookalike 1 %", "The ad set's name, if the click URL has it"),
        ("ad_id", _TEXT, "ad-310", "The ad's id, if the click URL has it"),
        ("ad_name", _TEXT, "Summer 15 s", "The ad's name, if the click URL has it"),
        ("creative_id", _TEXT, "cr-77", "The creative's id, if the click URL has it"),
        ("site_name", _TEXT, "Puzzle Box", "The publisher's name, if the click URL has it"),
        ("sub_site_id", _TEXT, "s-2", "The publisher's own sub-publisher, if the click URL has it"),
        ("keyword", _TEXT, "merge games", "The search word, if the click URL has it"),
        ("agency", _TEXT, "Example Media", "The agency, if the click URL has it"),
        *((f"sub{n}", _TEXT, "a", f"Parameter sub{n} of the click URL") for n in range(1, 11)),
        ("gclid", _TEXT, "Cj0KCQjw", "Google's click id; none unless Google's ad was clicked"),
        ("gbraid", _TEXT, "0AAAAAo", "Google's click group for apps, on iOS"),
        ("wbraid", _TEXT, "CjkKCQ", "Google's click group for the web, on iOS"),
        ("is_rejected", _BOOL, "false", "The install was rejected as fraud"),
        ("reject_reason", _TEXT, "click_flooding", "Why the install was rejected"),
    ),
    *_personal(
        _id(
            ("advertising_id", _TEXT, "6D92078A-8246-4BA4-AE5B-76104861E7DC", "IDFA, GAID or Fire OS id, as the platform has it"),  # noqa: E501
            ("install_id", _TEXT, _UUID, "The SDK's id of this install"),
            ("mmp_device_id", _TEXT, _UUID, "Another name for install_id"),
            ("customer_user_id", _TEXT, "user-1047", "Your own id of the user"),
        ),
    ),
    *_personal(
        _id(
            ("idfa", _TEXT, "6D92078A-8246-4BA4-AE5B-76104861E7DC", "Apple's advertising id"),
            ("idfv", _TEXT, "599F9C00-92DC-4B5C-9464-7971F01F8370", "Apple's id of this vendor"),
            ("adservices_token", _TEXT, "a3NlZ2xlc2Zo", "Apple's token for AdServices"),
        ),
        *_APPLE,
    ),
    *_personal(
        _id(
            ("gaid", _TEXT, "cdda802e-fb9c-47ad-9866-0794d394c912", "Google's advertising id"),
            ("oaid", _TEXT, "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5", "Open advertising id of Chinese devices"),  # noqa: E501
            ("android_id", _TEXT, "9774d56d682e549c", "Android's id of device and app"),
            ("app_set_id", _TEXT, "b23fbb9d-57ec-4d8e-8f2e-8a6c1c1a1f10", "Google's id of this vendor"),  # noqa: E501
            ("install_referrer", _TEXT, "utm_source=google-play", "The Play store's referrer"),
            ("referrer", _TEXT, "utm_source=google-play", "Another name for install_referrer"),
        ),
        *_ANDROID,
    ),
    *_personal(
        _id(
            ("amazon_id", _TEXT, "df07c7dc-cea7-4a89-b328-810ff5acb15d", "Fire OS's advertising id"),  # noqa: E501
            ("fire_adid", _TEXT, "df07c7dc-cea7-4a89-b328-810ff5acb15d", "Another name for amazon_id"),  # noqa: E501
        ),
        "amazon",
    ),
    *_personal(
        _device(
            ("ip_address", _TEXT, "203.0.113.7", "The device's IP address"),
            ("ip_anonymized", _TEXT, "203.0.113.0", "The IP address without its last part"),
            ("user_agent", _TEXT, "Mozilla/5.0 (iPhone)", "The device's user agent"),
            ("postal_code", _TEXT, "10115", "Postal code, if the app reports it"),
            ("city", _TEXT, "Berlin", "City, if the app reports it"),
        ),
    ),
    *_device(
        ("country", _TEXT, "DE", "Country, two letters"),
        ("region", _TEXT, "BE", "Region, if the app reports it"),
        ("device", _TEXT, "iPhone17,1", "The device's model"),
        ("device_model", _TEXT, "iPhone17,1", "The device's model"),
        ("device_brand", _TEXT, "Apple", "Who made the device"),
        ("device_type", _TEXT, "phone", "phone, tablet, … if the app reports it"),
        ("os_name", _TEXT, "ios", "The operating system, the same as platform unless reported"),
        ("os_version", _TEXT, "18.2", "The operating system's version"),
        ("api_level", _TEXT, "35", "Android's API level, if the app reports it"),
        ("language", _TEXT, "de", "The device's language"),
        ("locale", _TEXT, "de_DE", "The device's locale, if the app reports it"),
        ("carrier", _TEXT, "Telekom.de", "The mobile operator"),
        ("connection_type", _TEXT, "wifi", "wifi, cellular, … if the app reports it"),
        ("mcc", _TEXT, "262", "Mobile country code, if the app reports it"),
        ("mnc", _TEXT, "01", "Mobile network code, if the app reports it"),
    ),
    *_privacy(
        ("limit_ad_tracking", _BOOL, "false", "The user limits ad tracking"),
        ("limit_ad_tracking_integer", _INT, "0", "The user limits ad tracking: 1 or 0"),
        ("att_status", _INT, "3", "Apple's permission: 0 not asked, 1 restricted, 2 denied, 3 given"),  # noqa: E501
        ("gdpr_applies", _BOOL, "true", "European data protection applies"),
        ("tcf_string", _TEXT, "CQAAAAAQAAAAA", "The consent string of IAB's framework"),
        ("eea", _BOOL, "true", "The user is in the European Economic Area"),
        ("ad_user_data", _BOOL, "true", "Consent to send user data for ads"),
        ("ad_personalization", _BOOL, "true", "Consent to personalized ads"),
        ("consent_ad_user_data", _BOOL, "true", "Another name for ad_user_data"),
        ("consent_ad_personalization", _BOOL, "true", "Another name for ad_personalization"),
        ("us_privacy", _TEXT, "1YNN", "The US privacy string"),
    ),
    *(
        replace(it, money=True)
        for it in _money(
            ("revenue", _DEC, "4.99", "Revenue in the event's currency"),
            ("value", _DEC, "4.99", "Another name for revenue"),
            ("event_value", _DEC, "4.99", "Another name for revenue"),
            ("price", _DEC, "4.99", "Price of one piece"),
            ("currency", _TEXT, "USD", "Currency of the revenue"),
            ("revenue_usd_gross", _DEC, "4.99", "Revenue in US dollars; none without a rate of the day"),  # noqa: E501
            ("revenue_usd_net", _DEC, "3.493", "Revenue in US dollars without the store's share"),
            ("revenue_usd", _DEC, "4.99", "Another name for revenue_usd_gross"),
            ("revenue_net_usd", _DEC, "3.493", "Another name for revenue_usd_net"),
            ("ad_revenue", _DEC, "0.0123", "Revenue of an ad impression, if the app reports it"),
        )
    ),
    *_ad(
        ("ad_network_name", _TEXT, "unity", "The network that showed the ad"),
        ("ad_unit", _TEXT, "rewarded_main", "The ad unit"),
        ("ad_placement", _TEXT, "level_end", "The placement"),
        ("ad_format", _TEXT, "rewarded", "The format"),
        ("mediation", _TEXT, "max", "The mediation"),
        ("impression_id", _TEXT, "imp-31", "The impression's id"),
    ),
    *_skan(
        ("skan_version", _TEXT, "4.0", "Version of Apple's postback"),
        ("skan_network_id", _TEXT, "example123.skadnetwork", "The network that it names"),
        ("skan_campaign_id", _INT, "42", "Campaign, before version 4"),
        ("skan_source_identifier", _TEXT, "5239", "Source identifier, since version 4"),
        ("skan_conversion_value", _INT, "21", "Fine conversion value"),
        ("skan_coarse_value", _TEXT, "high", "Coarse conversion value"),
        ("skan_did_win", _BOOL, "true", "The network won the attribution"),
        ("skan_sequence", _INT, "0", "First, second or third postback: 0, 1, 2"),
        ("skan_redownload", _BOOL, "false", "The app was installed before"),
        ("skan_transaction_id", _TEXT, _UUID, "Apple's id of the postback"),
        ("skan_signature", _TEXT, "MEUCIQD", "Apple's signature"),
        ("skan_fidelity", _INT, "1", "1 for a click, 0 for a view"),
    ),
    *_postback(
        ("postback_id", _TEXT, _UUID, "This postback's id, the same over all attempts"),
        ("callback_id", _TEXT, _UUID, "Another name for postback_id"),
        ("now", _TIME, _SECONDS, "When this postback was made"),
        ("uuid", _TEXT, "7f1f5c0e-3a52-4d5e-8e0b-6b8f6d3c2a10", "A UUID of this postback's own"),
        ("random", _INT, "4821937750", "A number of this postback's own, against caches"),
    ),
)
# fmt: on
