"""The catalogue is complete, and says of each macro what a marketer needs to know."""

import pytest

from postbacks.callbacks.macros import CATALOGUE, Macro, RequestTemplate, compile_request
from postbacks.callbacks.macros.catalogue import ENTRIES
from postbacks.callbacks.macros.sources import SOURCES
from postbacks.callbacks.macros.vendors import VENDORS, vendor_names


@pytest.mark.parametrize("macro", CATALOGUE.values(), ids=lambda macro: macro.name)
def test_every_macro_is_explained_and_can_be_used(macro: Macro) -> None:
    assert macro.description
    assert macro.example
    assert macro.group
    template = RequestTemplate("GET", "https://a.com/?x={{" + macro.name + "}}")
    assert compile_request(template).macros == {macro.name}


def test_names_are_there_once() -> None:
    assert len(ENTRIES) == len(CATALOGUE)


def test_every_macro_has_a_source_and_nothing_else_has() -> None:
    assert set(SOURCES) == set(CATALOGUE)


@pytest.mark.parametrize(
    "name", ["idfa", "gaid", "advertising_id", "ip_address", "user_agent", "customer_user_id"]
)
def test_what_identifies_a_person_is_marked(name: str) -> None:
    assert CATALOGUE[name].personal


# The canonical table of our research (facts/mmp-callbacks.md, section 10), by group.
CANONICAL = """
    callback_id attempt event_id event_type event_name event_token event_value event_params_json
    partner_params_json is_first environment
    event_time received_time install_time engagement_time click_time impression_time
    install_begin_time install_finish_time referrer_click_time reattributed_time reinstalled_time
    uninstalled_time timezone
    app_id app_name bundle_id store_id app_version sdk_version platform
    is_attributed is_attributed_to_destination is_organic is_view_through is_reattribution
    is_reengagement match_type ad_network campaign_id campaign_name adset_id adset_name ad_id
    ad_name creative_id creative_name site_id site_name sub_site_id click_id tracker_id
    tracker_name agency keyword sub1 sub2 sub3 sub4 sub5 sub6 sub7 sub8 sub9 sub10
    previous_tracker_id previous_tracker_name contributor1_ad_network contributor2_ad_network
    contributor3_ad_network referrer gclid gbraid wbraid is_rejected reject_reason reject_value
    conversion_type cost_type cost_amount cost_currency
    advertising_id idfa gaid fire_adid oaid amazon_id idfv android_id app_set_id imei web_id
    mmp_device_id customer_user_id limit_ad_tracking limit_ad_tracking_integer att_status
    consent_ad_user_data consent_ad_personalization third_party_sharing
    ip_address ip_anonymized country region city postal_code device device_model device_brand
    device_type os_name os_version api_level language locale user_agent carrier mcc mnc
    connection_type
    revenue currency revenue_usd revenue_usd_cents revenue_net_usd revenue_reporting product_id
    quantity price transaction_id receipt_valid payout payout_pct ad_revenue ad_network_name
    ad_unit ad_placement ad_format mediation impression_id
    skan_version skan_network_id skan_campaign_id skan_source_identifier skan_conversion_value
    skan_coarse_value skan_did_win skan_sequence skan_redownload skan_transaction_id
    skan_signature skan_fidelity
    session_count lifetime_session_count time_spent now uuid random
"""
TENJIN = """
    advertising_id ip_address bundle_id campaign_id event_name campaign_name site_id click_id
    store_id os_version country engaged_at_ms acquired_at_ms time_in_ms device creative_name
    ad_network platform limit_ad_tracking_integer value revenue_usd_gross revenue_usd_net
"""


@pytest.mark.parametrize("name", sorted({*CANONICAL.split(), *TENJIN.split()}))
def test_the_catalogue_has_every_canonical_name(name: str) -> None:
    assert name in CATALOGUE


@pytest.mark.parametrize("name", TENJIN.split())
def test_tenjin_s_names_are_ours_exactly(name: str) -> None:
    assert VENDORS["tenjin"].macros[name] == name


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("idfv", "ios", "android"),
        ("gaid", "android", "ios"),
        ("install_referrer", "android", "ios"),
        ("att_status", "ios", "android"),
        ("skan_did_win", "ios", "android"),
    ],
)
def test_a_platform_s_own_macros_name_it(name: str, has: str, lacks: str) -> None:
    assert has in CATALOGUE[name].platforms
    assert lacks not in CATALOGUE[name].platforms


EXPRESSIONS = [
    pytest.param(vendor.key, theirs, expression, id=f"{vendor.key} {theirs}")
    for vendor in VENDORS.values()
    for theirs, expression in vendor.macros.items()
]


@pytest.mark.parametrize(("vendor", "theirs", "expression"), EXPRESSIONS)
def test_what_other_vendors_call_it_leads_to_a_macro_of_ours(
    vendor: str, theirs: str, expression: str
) -> None:
    template = RequestTemplate("GET", "https://a.com/?x={{" + expression + "}}")

    (name,) = compile_request(template).macros

    assert VENDORS[vendor].spelled(theirs) in vendor_names(name)[vendor]
