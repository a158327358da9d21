"""What happened, when, in which app and thanks to whom: the catalogue's rows, one line each.

Click ids are not personal here: they are the partner's own numbers for its clicks, returned to it.
"""

from typing import Final

from postbacks.callbacks.macros.entry_rows import (
    BOOL,
    CONTRIBUTORS,
    DEC,
    INT,
    JSON,
    MS,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    app_,
    attribution_,
    event_,
    time_,
)
from postbacks.callbacks.macros.macro import Macro

# fmt: off
STORY: Final[tuple[Macro, ...]] = (
    *event_(
        ("event_id", TEXT, UUID, "The event's own id, the same however often it is sent"),
        ("event_name", TEXT, "purchase", "The event's name in the app"),
        ("partner_event_name", TEXT, "af_purchase", "The event's name for this partner, from the rule's event map"),  # noqa: E501
        ("event_token", TEXT, "af_purchase", "Another name for partner_event_name"),
        ("event_type", TEXT, "purchase", "install, reinstall, reengagement, open, purchase, … or event for all others"),  # noqa: E501
        ("event_params_json", JSON, '{"level":7}', "All of the event's own parameters as JSON"),
        ("params", JSON, '{"level":7}', "The event's own parameters; params.level is one of them"),
        ("partner_params_json", JSON, '{"deal":"a1"}', "The parameters meant for partners only: the event's parameter partner_params"),  # noqa: E501
        ("is_first", BOOL, "true", "The first such event of this user, if the app reports it"),
        ("source", TEXT, "sdk", "Who reported the event: sdk, server, tenjin or system"),
        ("product_id", TEXT, "gems_500", "The product that was bought"),
        ("quantity", INT, "1", "How many were bought"),
        ("transaction_id", TEXT, "2000000512345678", "The store's number of the purchase"),
        ("receipt_valid", BOOL, "true", "The store confirmed the receipt, if the app reports it"),
        ("environment", TEXT, "production", "sandbox or production, if the app reports it"),
        ("lifetime_session_count", INT, "40", "Sessions over all installs, if the app reports it"),
        ("session_count", INT, "12", "Sessions so far, if the app reports them"),
        ("time_spent", INT, "340", "Seconds in the session, if the app reports them"),
    ),
    *time_(
        ("event_time", TIME, SECONDS, "When the event happened on the device"),
        ("time_in_ms", INT, MS, "When the event happened, in milliseconds"),
        ("received_at", TIME, SECONDS, "When the event reached us"),
        ("received_time", TIME, SECONDS, "Another name for received_at"),
        ("acquired_at", TIME, SECONDS, "When the app was installed"),
        ("acquired_at_ms", INT, MS, "When the app was installed, in milliseconds"),
        ("install_time", TIME, SECONDS, "Another name for acquired_at"),
        ("engaged_at", TIME, SECONDS, "When the ad was clicked or seen; none for organic installs"),
        ("engaged_at_ms", INT, MS, "When the ad was clicked or seen, in milliseconds"),
        ("engagement_time", TIME, SECONDS, "Another name for engaged_at"),
        ("click_time", TIME, SECONDS, "When the ad was clicked; none if it was only seen"),
        ("impression_time", TIME, SECONDS, "When the ad was seen; none if it was clicked"),
        ("install_begin_time", TIME, SECONDS, "When the Play store began the download"),
        ("install_finish_time", TIME, SECONDS, "When the Play store ended the download"),
        ("referrer_click_time", TIME, SECONDS, "When the Play store was opened by the click"),
        ("reattributed_time", TIME, SECONDS, "When a device came back through an ad; none if it never did"),  # noqa: E501
        ("reattributed_at", TIME, SECONDS, "Another name for reattributed_time"),
        ("reinstalled_time", TIME, SECONDS, "When a device came back by itself; none if it never did"),  # noqa: E501
        ("reinstalled_at", TIME, SECONDS, "Another name for reinstalled_time"),
        ("uninstalled_time", TIME, SECONDS, "When the app was removed; none for other events unless reported"),  # noqa: E501
        ("timezone", TEXT, "Europe/Berlin", "The device's time zone"),
    ),
    *app_(
        ("app_id", TEXT, UUID, "The app's id here"),
        ("app_name", TEXT, "Merge Meadow", "The app's name"),
        ("bundle_id", TEXT, "com.example.meadow", "The bundle ID or Android package"),
        ("store_id", TEXT, "1234567890", "Apple's number or Google's package name"),
        ("platform", TEXT, "ios", "ios, android, amazon, windows, web, tv or other"),
        ("app_version", TEXT, "3.2.1", "The app's version"),
        ("sdk_version", TEXT, "1.4.0", "The SDK's version"),
    ),
    *attribution_(
        ("ad_network", TEXT, "AppLovin", "The partner who brought the install, or organic"),
        ("campaign_id", TEXT, "summer-42", "The campaign's id; none for organic installs"),
        ("campaign_name", TEXT, "Summer US", "The campaign's name; none for organic installs"),
        ("creative_name", TEXT, "video_15s_b", "The creative's name; none for organic installs"),
        ("site_id", TEXT, "pub_8812", "The publisher's app or site; none for organic installs"),
        ("click_id", TEXT, "c-7f3a91d2", "The network's id of the click; none for organic installs"),  # noqa: E501
        ("click", JSON, '{"sub1":"a"}', "The click URL's parameters; click.sub1 is one of them"),
        ("is_organic", BOOL, "false", "No ad brought this install"),
        ("is_attributed", BOOL, "true", "An ad brought this install"),
        ("is_attributed_to_destination", BOOL, "true", "This partner's ad brought this install"),
        ("is_reattribution", BOOL, "false", "A device comes back through an ad by this event"),
        ("is_reengagement", BOOL, "false", "The event is a return to the app through an ad"),
        ("is_view_through", BOOL, "false", "The ad was seen, not clicked"),
        ("attribution_type", TEXT, "click", "click, impression or organic"),
        ("match_type", TEXT, "referrer", "How the install was matched; none for organic installs"),
        ("adset_id", TEXT, "as-9", "The ad set's id, if the click URL has it"),
        ("adset_name", TEXT, "Lookalike 1 %", "The ad set's name, if the click URL has it"),
        ("ad_id", TEXT, "ad-310", "The ad's id, if the click URL has it"),
        ("ad_name", TEXT, "Summer 15 s", "The ad's name, if the click URL has it"),
        ("creative_id", TEXT, "cr-77", "The creative's id, if the click URL has it"),
        ("site_name", TEXT, "Puzzle Box", "The publisher's name, if the click URL has it"),
        ("sub_site_id", TEXT, "s-2", "The publisher's own sub-publisher, if the click URL has it"),
        ("tracker_id", TEXT, "tr-5", "The tracking link's id, or what the click URL says"),
        ("tracker_name", TEXT, "Summer::US", "The tracking link's name, or what the click URL says"),  # noqa: E501
        ("previous_ad_network", TEXT, "Unity Ads", "Who was credited before, on attribution_updated"),  # noqa: E501
        ("previous_campaign_name", TEXT, "Spring US", "The campaign credited before, on attribution_updated"),  # noqa: E501
        ("previous_tracker_id", TEXT, "tr-4", "The link credited before, on attribution_updated"),
        ("previous_tracker_name", TEXT, "Spring::US", "The name of the link credited before, on attribution_updated"),  # noqa: E501
        *CONTRIBUTORS,
        ("cost_type", TEXT, "cpi", "How the ad is paid, if the click URL has it"),
        ("cost_amount", DEC, "1.20", "What the ad cost, if the click URL has it"),
        ("cost_currency", TEXT, "USD", "In which currency the ad was paid, if the click URL has it"),  # noqa: E501
        ("conversion_type", TEXT, "install", "What is paid for, if the click URL has it"),
        ("keyword", TEXT, "merge games", "The search word, if the click URL has it"),
        ("agency", TEXT, "Example Media", "The agency, if the click URL has it"),
        *((f"sub{n}", TEXT, "a", f"Parameter sub{n} of the click URL") for n in range(1, 11)),
        ("gclid", TEXT, "Cj0KCQjw", "Google's click id; none unless Google's ad was clicked"),
        ("gbraid", TEXT, "0AAAAAo", "Google's click group for apps, on iOS"),
        ("wbraid", TEXT, "CjkKCQ", "Google's click group for the web, on iOS"),
        ("is_rejected", BOOL, "true", "An ad was rejected as fraud, on rejected_install"),
        ("reject_reason", TEXT, "engagement_injection", "Why the ad was rejected, on rejected_install"),  # noqa: E501
        ("rejection_reason", TEXT, "engagement_injection", "Another name for reject_reason"),
        ("reject_value", TEXT, "3s", "The figure behind the rejection, if the event has it"),
    ),
)
# fmt: on
