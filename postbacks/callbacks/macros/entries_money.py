"""Money, ad impressions, Apple's postbacks and our own: the catalogue's rows, one line each."""

from typing import Final

from postbacks.callbacks.macros.entry_rows import (
    BOOL,
    DEC,
    INT,
    SECONDS,
    TEXT,
    TIME,
    UUID,
    ad_,
    as_money,
    money_,
    postback_,
    skan_,
)
from postbacks.callbacks.macros.macro import Macro

# fmt: off
MONEY: Final[tuple[Macro, ...]] = (
    *as_money(
        money_(
            ("revenue", DEC, "4.99", "Revenue in the event's currency"),
            ("value", DEC, "4.99", "Another name for revenue; else a Tenjin event's own value"),
            ("event_value", DEC, "4.99", "Another name for revenue"),
            ("price", DEC, "4.99", "Price of one piece"),
            ("currency", TEXT, "USD", "Currency of the revenue"),
            ("revenue_usd_gross", DEC, "4.99", "Revenue in US dollars; none without a rate of the day"),  # noqa: E501
            ("revenue_usd_net", DEC, "3.493", "Revenue in US dollars without the store's share"),
            ("revenue_usd", DEC, "4.99", "Another name for revenue_usd_gross"),
            ("revenue_net_usd", DEC, "3.493", "Another name for revenue_usd_net"),
            ("revenue_usd_cents", INT, "499", "Revenue in US cents, rounded"),
            ("revenue_reporting", DEC, "4.99", "Another name for revenue_usd_gross: reports are in US dollars"),  # noqa: E501
            ("reporting_currency", TEXT, "USD", "The currency of revenue_reporting"),
            ("payout", DEC, "1.50", "What the partner is paid, if the click URL or the event has it"),  # noqa: E501
            ("payout_pct", DEC, "12.5", "What the partner is paid in percent, if the click URL or the event has it"),  # noqa: E501
            ("ad_revenue", DEC, "0.0123", "Revenue of an ad impression, if the app reports it"),
        ),
    ),
    *ad_(
        ("ad_network_name", TEXT, "unity", "The network that showed the ad"),
        ("ad_unit", TEXT, "rewarded_main", "The ad unit"),
        ("ad_placement", TEXT, "level_end", "The placement"),
        ("ad_format", TEXT, "rewarded", "The format"),
        ("mediation", TEXT, "max", "The mediation"),
        ("impression_id", TEXT, "imp-31", "The impression's id"),
    ),
    *skan_(
        ("skan_version", TEXT, "4.0", "Version of Apple's postback"),
        ("skan_network_id", TEXT, "example123.skadnetwork", "The network that it names"),
        ("skan_campaign_id", INT, "42", "Campaign, before version 4"),
        ("skan_source_identifier", TEXT, "5239", "Source identifier, since version 4"),
        ("skan_conversion_value", INT, "21", "Fine conversion value"),
        ("skan_coarse_value", TEXT, "high", "Coarse conversion value"),
        ("skan_did_win", BOOL, "true", "The network won the attribution"),
        ("skan_sequence", INT, "0", "First, second or third postback: 0, 1, 2"),
        ("skan_redownload", BOOL, "false", "The app was installed before"),
        ("skan_transaction_id", TEXT, UUID, "Apple's id of the postback"),
        ("skan_signature", TEXT, "MEUCIQD", "Apple's signature"),
        ("skan_fidelity", INT, "1", "1 for a click, 0 for a view"),
        ("skan_ad_type", TEXT, "click", "click or view, in both of Apple's frameworks"),
        ("skan_protocol", TEXT, "skadnetwork", "skadnetwork or adattributionkit"),
        ("skan_conversion_type", TEXT, "download", "download, redownload or re-engagement"),
        ("skan_source_app_id", TEXT, "1234567891", "Apple's number of the app with the ad"),
        ("skan_source_domain", TEXT, "example.com", "The site with the ad, since version 4"),
        ("skan_event", TEXT, "purchase", "What the conversion value means to your app"),
        ("skan_currency", TEXT, "USD", "The currency of what the conversion value means"),
        ("skan_signature_state", TEXT, "valid", "What Apple's signature says of the copy"),
        ("skan_payload", TEXT, '{"version":"4.0"}', "The copy as it came, to be verified"),
    ),
    *as_money(
        skan_(
            ("skan_least_revenue", DEC, "4.99", "What the conversion value earned at least"),
            ("skan_most_revenue", DEC, "9.99", "What the conversion value earned at most"),
        )
    ),
    *postback_(
        ("postback_id", TEXT, UUID, "This postback's id, the same over all attempts"),
        ("attempt", INT, "1", "Which attempt this is, counted from 1"),
        ("callback_id", TEXT, UUID, "Another name for postback_id"),
        ("now", TIME, SECONDS, "When this postback was made"),
        ("uuid", TEXT, "7f1f5c0e-3a52-4d5e-8e0b-6b8f6d3c2a10", "A UUID of this postback's own"),
        ("random", INT, "4821937750", "A number of this postback's own, against caches"),
    ),
)
# fmt: on
