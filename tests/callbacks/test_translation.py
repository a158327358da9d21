"""URLs from other tools become ours, and nothing of theirs is ever sent as it stands."""

from decimal import Decimal
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.callbacks.macros import RequestTemplate, TemplateError, Value, compile_request
from postbacks.callbacks.macros.vendors import GENERIC, VENDORS
from postbacks.callbacks.translation import (
    LONGEST_URL,
    Certainty,
    Pasted,
    read_rule_url,
    translate,
)
from tests.callbacks.translated_urls import BY_VENDOR

CASES = [
    pytest.param(vendor, theirs, ours, id=f"{vendor} {number}")
    for vendor, pairs in BY_VENDOR.items()
    for number, (theirs, ours) in enumerate(pairs, start=1)
]


def test_each_family_has_its_six_urls() -> None:
    families = {vendor: len(pairs) for vendor, pairs in BY_VENDOR.items() if vendor != "tenjin"}

    assert set(BY_VENDOR) == {*VENDORS, GENERIC.key}
    assert families == dict.fromkeys(families, 6)


@pytest.mark.parametrize(("vendor", "theirs", "ours"), CASES)
def test_a_url_becomes_the_expected_template(vendor: str, theirs: str, ours: str) -> None:
    assert translate(theirs, vendor).url == ours


@pytest.mark.parametrize(("vendor", "theirs", "ours"), CASES)
def test_a_translated_url_compiles(vendor: str, theirs: str, ours: str) -> None:
    compile_request(RequestTemplate(url=ours))


@pytest.mark.parametrize(("vendor", "theirs", "ours"), CASES)
def test_the_vendor_is_found_out(vendor: str, theirs: str, ours: str) -> None:
    translation = translate(theirs)

    assert translation.vendor == vendor or translation.certainty == Certainty.GUESS
    assert translation.url == ours


@pytest.mark.parametrize(
    ("url", "vendor", "certainty"),
    [
        ("https://a.com/?x=${(name)!}", "branch", Certainty.CERTAIN),
        ("https://a.com/?x=<#if attributed>1<#else>0</#if>", "branch", Certainty.CERTAIN),
        ("https://a.com/?x={{event_name}}", "tenjin", Certainty.CERTAIN),
        ("https://a.com/?x=(idfa)", "appsflyer", Certainty.CERTAIN),
        ("https://a.com/?x={gps_adid}", "adjust", Certainty.CERTAIN),
        ("https://a.com/?x={IDFA}", "singular", Certainty.CERTAIN),
        ("https://a.com/?x={kochava_device_id}", "kochava", Certainty.CERTAIN),
        ("https://a.com/?x={kochava_device_id}&y={idfa}", "kochava", Certainty.LIKELY),
        ("https://a.com/?x={idfa}", "generic", Certainty.GUESS),
        ("https://a.com/?x={revenue}&s={status}&i={subid}", "generic", Certainty.GUESS),
        ("https://a.com/?x={click_id}&p={payout}", "generic", Certainty.GUESS),
        ("https://a.com/?x={transaction_id}&p={payout}", "generic", Certainty.GUESS),
        ("https://a.com/?x={event}&r={revenue}&c={currency}", "generic", Certainty.GUESS),
        ("https://a.com/?x={sub1}&a={amount}", "generic", Certainty.GUESS),
        ("https://a.com/?x={{clickid}}&p={{sum}}", "generic", Certainty.GUESS),
        ("https://a.com/?x={{clickid}}&p={{event_name}}", "tenjin", Certainty.LIKELY),
        ("https://a.com/?x=${clickid}", "generic", Certainty.GUESS),
        ("https://a.com/?x=[CLICK_ID]&p=#price#", "generic", Certainty.GUESS),
        ("https://a.com/?x=(payout)", "appsflyer", Certainty.CERTAIN),
        ("https://a.com/?x={idfa||gps_adid}", "adjust", Certainty.LIKELY),
        ("https://a.com/?x={gps_adid}&p={payout}", "adjust", Certainty.LIKELY),
        ("https://a.com/?x={cnv_status2}", "binom", Certainty.CERTAIN),
        ("https://a.com/?x={status:lead=0 sale=1}", "keitaro", Certainty.CERTAIN),
        ("https://a.com/?x={campaign.id}", "voluum", Certainty.CERTAIN),
        ("https://a.com/?x={rt_campaign}", "redtrack", Certainty.CERTAIN),
        ("https://a.com/?x={payout_amount}", "everflow", Certainty.CERTAIN),
        ("https://a.com/?x={goal_ref}", "tune", Certainty.CERTAIN),
        ("https://a.com/?x={order_sum}", "affise", Certainty.CERTAIN),
        ("https://a.com/?x={sale_amount_usd}", "trackier", Certainty.CERTAIN),
        ("https://a.com/?x={gps_adid}&y={cnv_status}", "generic", Certainty.GUESS),
        ("https://a.com/?x=1", "", Certainty.GUESS),
    ],
)
def test_how_sure_the_vendor_is_is_said(url: str, vendor: str, certainty: Certainty) -> None:
    translation = translate(url)

    assert (translation.vendor, translation.certainty) == (vendor, certainty)


def test_a_vendor_that_was_named_is_not_doubted() -> None:
    translation = translate("https://a.com/?x={idfa}&y={device_ip}", "adjust")

    assert (translation.vendor, translation.certainty) == ("adjust", Certainty.GIVEN)
    assert [macro.theirs for macro in translation.untranslated] == ["{device_ip}"]


def test_what_was_translated_and_what_could_not_be_is_listed() -> None:
    translation = translate("https://a.com/?x={gps_adid}&y={gps_add}&z={gps_adid}")

    assert [(macro.theirs, macro.ours) for macro in translation.translated] == [
        ("{gps_adid}", "{{gaid}}")
    ]
    (left_out,) = translation.untranslated
    assert left_out.theirs == "{gps_add}"
    assert "{gps_adid}" in left_out.why
    assert "{{gaid}}" in left_out.why


def test_an_alternative_that_is_unknown_is_named() -> None:
    translation = translate("https://a.com/?x={idfa||win_naid||gps_adid}", "adjust")

    assert translation.url == "https://a.com/?x={{idfa||gaid}}"
    assert [macro.theirs for macro in translation.untranslated] == [
        "win_naid in {idfa||win_naid||gps_adid}"
    ]


def test_an_alternative_that_needs_a_filter_is_named() -> None:
    translation = translate("https://a.com/?x={is_organic||idfa||gps_adid}", "adjust")

    assert translation.url == "https://a.com/?x={{idfa||gaid}}"
    assert "filter" in translation.untranslated[0].why


@pytest.mark.parametrize(
    "theirs",
    [
        *("{payout}", "{PAYOUT}", "{amount}", "{sum}", "{revenue}", "{sale_amount}", "{price}"),
        *("{saleAmount}", "{order_total}", "{commission}", "{reward}", "{value}", "[payout]"),
        *("#price#", "%amount%", "${payout}", "{{payout}}", "{{sum}}", "(payout)", "%7Bpayout%7D"),
    ],
)
@pytest.mark.parametrize("beside", ["{click_id}", "{gps_adid}", "{cnv_status}", "{externalid}"])
def test_the_money_is_kept(theirs: str, beside: str) -> None:
    translation = translate(f"https://a.com/?c={beside}&m={theirs}")

    request = compile_request(RequestTemplate(url=translation.url))
    values: dict[str, Value] = {"revenue": Decimal("4.99"), "currency": "USD"}
    sent = request.render(values).request.url.rpartition("&m=")[2]
    is_adjust_s = (theirs, beside) == ("{revenue}", "{gps_adid}")
    assert sent == ("499" if is_adjust_s else "4.99")


@pytest.mark.parametrize(
    ("vendor", "theirs"),
    [
        ("adjust", "{payout}"),
        ("kochava", "{sum}"),
        ("singular", "{amount}"),
        ("tenjin", "{{sale_amount}}"),
        ("appsflyer", "(payout)"),
        ("appsflyer", "{payout}"),
        ("branch", "${payout}"),
        ("keitaro", "{payout_amount}"),
        ("tune", "[price]"),
    ],
)
def test_the_money_is_kept_where_another_tool_s_word_was_written(vendor: str, theirs: str) -> None:
    translation = translate(f"https://a.com/?m={theirs}", vendor)

    assert translation.url.endswith("revenue}}")
    assert vendor == "appsflyer" or any(theirs in note for note in translation.notes)


def test_only_what_adjust_alone_writes_makes_its_revenue_cents() -> None:
    url = "https://t.example.com/postback?subid={subid}&status={status}&payout={revenue}"

    assert translate(url).url.endswith("&payout={{revenue}}")
    assert translate(url, "adjust").url.endswith("&payout={{revenue|cents}}")
    assert translate(f"{url}&id={{gps_adid}}").url.endswith("{{revenue|cents}}&id={{gaid}}")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("t={transaction_id}", "t={{click_id}}"),
        ("c={click_id}&t={transaction_id}", "c={{click_id}}&t={{transaction_id}}"),
        ("c={subid}&t={transaction_id}", "c={{click.subid||click_id}}&t={{transaction_id}}"),
        ("t={transaction_id}&m={amount}", "t={{click_id}}&m={{revenue}}"),
        ("c={externalid}&t={transaction_id}", "c={{click_id}}&t={{transaction_id}}"),
    ],
)
def test_a_transaction_is_the_click_where_nothing_else_is(theirs: str, ours: str) -> None:
    assert translate(f"https://a.com/?{theirs}").url == f"https://a.com/?{ours}"


@pytest.mark.parametrize(
    "plain",
    [
        "t=Hello%20(city)",
        "100%25",
        "a[0]=1",
        "x=(new)",
        "ids[]=1",
        "q=a%20b%20c",
        "p=%C3%A4%C3%B6",
        "n=[EU]",
        "n=%new%",
        "n=(new-user)",
        "n=a[foo_bar]",
        "n=<b>",
        "n=x(foo_bar)y",
        "n=100%off%",
    ],
)
def test_plain_text_is_no_placeholder_of_an_affiliate_tracker(plain: str) -> None:
    url = f"https://a.com/?c={{click_id}}&{plain}"

    assert translate(url).url == url.replace("{click_id}", "{{click_id}}")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("c=[CLICK_ID]&m=%%GAID%%", "c={{click_id}}&m={{gaid}}"),
        ("g=%28gps_adid%29&c={click_id}", "g={{gaid}}&c={{click_id}}"),
        ("g=(gps_adid)&i=(idfa)", "g={{gaid}}&i={{idfa}}"),
        ("g=(gps_adid)", "g={{gaid}}"),
        ("g=(advertiserId)&c={click_id}", "g={{gaid}}&c={{click_id}}"),
        ("g=[GPS_ADID]&c={click_id}", "g={{gaid}}&c={{click_id}}"),
        ("g=##gps_adid##&e={{event_name}}", "g={{gaid}}&e={{event_name}}"),
        ("g=%gps_adid%&e=${name}", "g={{gaid}}&e={{event_name}}"),
        ("g=<amazon_aid>&c={click_id}", "g={{amazon_id}}&c={{click_id}}"),
        ("g=(gps_adid_md5)&c={click_id}", "g={{gaid_md5}}&c={{click_id}}"),
        ("m=%25%25GAID%25%25&c={click_id}", "m={{gaid}}&c={{click_id}}"),
        ("a=%%CLICK_ID%%&b=%%IDFA%%", "a={{click_id}}&b={{idfa}}"),
        ("g=%%gaid%%&a=(android-id)&c=[[clickid]]", "g={{gaid}}&a={{android_id}}&c={{click_id}}"),
    ],
)
def test_placeholders_of_several_forms_in_one_url_are_all_translated(
    theirs: str, ours: str
) -> None:
    translation = translate(f"https://t.example/p?{theirs}")

    assert translation.url == f"https://t.example/p?{ours}"
    assert translation.untranslated == ()


@pytest.mark.parametrize(
    "theirs",
    [
        "%%FOOBAR%%",
        "[FOO_BAR]",
        "##foobar##",
        "(foo_bar)",
        "<foo_bar_2>",
        "%foo_bar%",
        "[[foobar]]",
    ],
)
def test_a_placeholder_of_another_form_without_a_counterpart_is_named(theirs: str) -> None:
    translation = translate(f"https://t.example/p?c={{click_id}}&m={theirs}&i={{idfa}}")

    assert translation.url == "https://t.example/p?c={{click_id}}&m=&i={{idfa}}"
    assert [macro.theirs for macro in translation.untranslated] == [theirs]


def test_a_name_of_another_vendor_does_not_make_a_url_appsflyer_s_for_certain() -> None:
    translation = translate("https://t.example/p?g=(gps_adid)&i=(idfa)")

    assert (translation.vendor, translation.certainty) == ("appsflyer", Certainty.LIKELY)


def test_hashes_and_cases_of_known_names_are_understood() -> None:
    translation = translate(
        "https://a.com/?x={gps_adid_upper_md5}&y={idfv_sha1}&z={idfa_md5_hex}", "adjust"
    )

    assert translation.url == "https://a.com/?x={{gaid_upper_md5}}&y={{idfv_sha1}}&z={{idfa_md5}}"


def test_a_function_that_we_do_not_have_is_named() -> None:
    translation = translate("https://a.com/?x=${(user_data.idfa)?keep_before('-')!}")

    assert translation.url == "https://a.com/?x="
    assert "keep_before" in translation.untranslated[0].why


def test_a_block_of_freemarker_is_taken_out() -> None:
    translation = translate("https://a.com/?x=<#list tags as t>${t}</#list>&i=${(user_data.idfa)!}")

    assert "#" not in translation.url
    assert translation.url.endswith("&i={{idfa}}")


def test_a_network_s_own_macros_have_no_place_in_a_callback() -> None:
    translation = translate("https://a.com/?x=__IDFA__&y={gps_adid}")

    assert translation.url == "https://a.com/?x=&y={{gaid}}"
    assert [macro.theirs for macro in translation.untranslated] == ["__IDFA__"]


def test_only_the_first_of_several_urls_is_translated() -> None:
    translation = translate("https://a.com/?x={gps_adid} https://b.com/?y={gps_adid}")

    assert translation.url == "https://a.com/?x={{gaid}}"
    assert any("first" in note for note in translation.notes)


def test_an_address_in_the_clear_is_remarked_on() -> None:
    assert any("https://" in note for note in translate("http://a.com/?x={gps_adid}").notes)


def test_an_unknown_vendor_is_refused() -> None:
    with pytest.raises(ValueError, match="adjust, appsflyer"):
        translate("https://a.com/", "airbridge")


def test_a_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="at most"):
        translate("x" * (LONGEST_URL + 1))


PASTED = "https://a.com/cb?i={idfa}&n={event_name}"
READ = "https://a.com/cb?i={{idfa}}&n={{event_name}}"


@pytest.mark.parametrize(
    ("pasted", "note"),
    [
        ("https://a.com/cb?i={idfa}&amp;n={event_name}", "&amp;"),
        ("https://a.com/cb?i={idfa}&amp;amp;n={event_name}", "&amp;"),
        ("https://a.com/cb?i={idfa}&#38;n={event_name}", "&amp;"),
        ("https://a.com/cb?i=&#123;idfa&#125;&AMP;n={event_name}", "&amp;"),
        ("https://a.com/cb?i=%7Bidfa%7D&n=%7bevent_name%7d", "encoded"),
        ("https://a.com/cb?i=%257Bidfa%257D&n={event_name}", "encoded"),
        ("https://a.com/cb?i=%25257Bidfa%25257D&n={event_name}", "encoded"),
        ("https://a.com/cb?i=%7B%7Bidfa%7D%7D&n=%7B%7Bevent_name%7D%7D", "encoded"),
        ("https://a.com/cb?i=%28idfa%29&n=%28event_name%29", "encoded"),
        ("https://a.com/cb?i=%2528idfa%2529&n=%2528event%2Dname%2529", "encoded"),
        ("https://a.com/cb?i=%24%7B%28user_data.idfa%29%21%7D&n=%24%7B%28name%29%21%7D", "encoded"),
        ("https%3A%2F%2Fa.com%2Fcb%3Fi%3D%7Bidfa%7D%26n%3D%7Bevent_name%7D", "as a whole"),
        (
            "https%253A%252F%252Fa.com%252Fcb%253Fi%253D%257Bidfa%257D%2526n%253D{event_name}",
            "whole",
        ),
        (f"Postback URL: {PASTED}", "left out"),
        (f"Install postback:\n\n{PASTED}\n", "left out"),
        (f"Please use {PASTED} from Monday on. Thanks!", "left out"),
        (f"1. {PASTED}", "left out"),
        (f"GET {PASTED} HTTP/1.1", "left out"),
        (f"curl -X POST '{PASTED}'", "left out"),
        (f"[our postback]({PASTED})", "left out"),
        (f'{{"postback": "{PASTED}"}}', "left out"),
        (f'"{PASTED}"', "Quotes"),
        (f"'{PASTED}'", "Quotes"),
        (f"\u201c{PASTED}\u201d", "Quotes"),
        (f"\u00ab{PASTED}\u00bb", "Quotes"),
        (f"<{PASTED}>", "Quotes"),
        (f"`{PASTED}`", "Quotes"),
        ("https://a.com/cb?i={idfa}\n&n={event_name}", "Line breaks"),
        ("https://a.com/cb\r\n    ?i={idfa}&\r\n    n={event_name}", "Line breaks"),
        ("https://a.com/cb?i={idfa}&n=\n{event_name}\n\nBest regards\nAnna", "Line breaks"),
        ("https://a.\u200bcom/cb?i={\u200bidfa}&n=\ufeff{event_name}", "Invisible"),
        ("\u2060https://a.com/cb?i={idfa}&n={event\u00ad_name}", "Invisible"),
        (f"\u00a0{PASTED}\u00a0", ""),
        (f"URL:\u00a0{PASTED}", "document"),
        ("https:\\/\\/a.com\\/cb?i={idfa}\\u0026n={event_name}", "JSON"),
        (f"1.{PASTED}", "left out"),
        (f"-{PASTED}", "left out"),
        (f"Postback URL={PASTED}", "left out"),
        (f"postback_url={PASTED}", "left out"),
        (f"| iOS | {PASTED} | on |", "left out"),
        ('<a href="https://a.com/cb?i={idfa}&amp;n={event_name}">our postback</a>', "left out"),
        (f"<{PASTED}>;", "Quotes"),
        ("> https://a.com/cb?i={idfa}&\n> n={event_name}", "mail"),
        ("https%3A%2F%2Fa.com%2Fcb%3Fi%3D%7Bidfa%7D%26amp%3Bn%3D{event_name}", "whole"),
        ("https://a.com/cb?i=\uff5bidfa\uff5d\uff06n\uff1d{event_name}", "Full-width"),
        ("https://a.com/cb\uff1fi={idfa}&n={event_name}", "Full-width"),
        ("HTTPS%3a%2f%2fa.com%2fcb%3fi%3d%7bidfa%7d%26n%3d%7bevent_name%7d", "whole"),
        ("a.com/cb?i={idfa}&n={event_name}", "https://"),
        ("Postback: a.com/cb?i={idfa}&n={event_name}.", "https://"),
    ],
)
def test_a_pasted_text_is_read_as_meant_and_what_was_done_is_said(pasted: str, note: str) -> None:
    translation = translate(pasted)

    assert translation.url.replace("HTTPS", "https") == READ
    assert note in " ".join(translation.notes)


@pytest.mark.parametrize(
    "url",
    [
        "https://a.com/cb?copy=1&reg=2&times=3&lt=4&amp=5&c={click_id}",
        "https://a.com/cb?n=Gem%20Harbor&p=50%25&c={click_id}",
        "https://a.com/cb?ids%5B0%5D=1&t=Hello%20%28new%29&c={click_id}",
        "https://a.com/cb?u=https%3A%2F%2Fb.com%2F&c={click_id}",
        "https://a.com/cb?u=https://b.com/x&c={click_id}",
        "https://a.com/cb?q='quoted'&c={click_id}",
        "https://a.com/cb/(x)?c={click_id}",
    ],
)
def test_what_was_meant_as_it_stands_is_left_alone(url: str) -> None:
    translation = translate(url)

    assert translation.url == url.replace("{click_id}", "{{click_id}}")
    assert translation.notes == ()


@pytest.mark.parametrize(
    "pasted",
    [
        "1. https://a.com/?i={idfa}\n2. https://b.com/?g={gaid}\n3. https://c.com/?n={event_name}",
        "1) https://a.com/?i={idfa}\n\n2) https://b.com/?g={gaid}\n\n3) https://c.com/?n={event_name}",
        "- https://a.com/?i={idfa}\r\n- https://b.com/?g={gaid}\r\n- https://c.com/?n={event_name}",
        "Install: https://a.com/?i={idfa}\nSale: https://b.com/?g={gaid}\nLead: https://c.com/?n={event_name}",
        "https://a.com/?i={idfa} https://b.com/?g={gaid} https://c.com/?n={event_name}",
        "https://a.com/?i={idfa}, https://b.com/?g={gaid}; https://c.com/?n={event_name}.",
        '["https://a.com/?i={idfa}", "https://b.com/?g={gaid}", "https://c.com/?n={event_name}"]',
    ],
)
def test_each_url_of_a_list_is_translated(pasted: str) -> None:
    translation = translate(pasted)

    assert [translation.url, *(other.url for other in translation.others)] == [
        "https://a.com/?i={{idfa}}",
        "https://b.com/?g={{gaid}}",
        "https://c.com/?n={{event_name}}",
    ]
    assert "first of 3" in translation.notes[0]


def test_a_callback_that_was_encoded_twice_inside_a_click_url_is_found() -> None:
    callback = quote(quote("https://net.example.com/cb?i={idfa}&k={click_id}", safe=""), safe="")

    translation = translate(f"https://app.adjust.com/abc?c=1&install_callback={callback}")

    assert translation.url == "https://net.example.com/cb?i={{idfa}}&k={{click_id}}"
    assert translation.vendor == "adjust"


RULE_URL = "https://a.com/cb?i={{idfa}}&n={{event_name||'none'}}"


@pytest.mark.parametrize(
    ("written", "note"),
    [
        (RULE_URL.replace("&", "&amp;"), "&amp;"),
        (RULE_URL.replace("&", "&amp;amp;"), "&amp;"),
        (RULE_URL.replace("'", "&#39;"), "&amp;"),
        (RULE_URL.replace("{{", "{{\u200b"), "Invisible"),
        (f"\ufeff{RULE_URL}", "Invisible"),
        (RULE_URL.replace("&", "\n&"), "Line breaks"),
        (RULE_URL.replace("&", "&\r\n   "), "Line breaks"),
        (f"Postback URL: {RULE_URL}", "left out"),
        (f"1. {RULE_URL}\n", "left out"),
        (f'"{RULE_URL}"', "Quotes"),
        (f"\u201c{RULE_URL}\u201d", "Quotes"),
        (RULE_URL.replace("{{idfa}}", "%7B%7Bidfa%7D%7D"), "encoded"),
        (RULE_URL.replace("{{idfa}}", "%257B%257Bidfa%257D%257D"), "encoded"),
    ],
)
def test_the_address_of_a_rule_is_read_as_meant(written: str, note: str) -> None:
    read = read_rule_url(written)

    assert read.urls == (RULE_URL,)
    assert note in " ".join(read.notes)


@pytest.mark.parametrize(
    "url",
    [
        RULE_URL,
        "https://a.com/?n=Gem Harbor&x={{idfa}} y",
        "https://a.com/?copy=1&reg=2&amp=3&lt=4",
        "https://a.com/?x=%7Bidfa%7D&y=%7B%7Bnot a macro%7D%7D&z=%28idfa%29",
        "https://a.com/?q='x'&r=\"y\"&s=(z)",
        "https://{{credential.host}}/?u=https://b.com/",
        "ads.example.com/p?x={{idfa}}",
        "ads.example.com/{{idfa}}?u=https://a.example/",
        "//ads.example.com/",
        "ftp://ads.example.com/",
        "1. https://a.com/\n2. https://b.com/",
        "",
    ],
)
def test_the_address_of_a_rule_is_left_as_it_stands(url: str) -> None:
    assert read_rule_url(url).urls == (url,)


NO_ENTITIES = [
    *(
        "&apo\u017f;",
        "&APO\u017f;",
        "&#0;",
        "&#00;",
        "&#x110000;",
        "&#xd800;",
        "&#xffff;",
        "&#9999;",
    ),
    *("&#\u0663\u0668;", "&#\u00b2;", "&#x;", "&#;", "&#abc;", "&#x\u0664;", "&nbsp;"),
]


@pytest.mark.parametrize("entity", NO_ENTITIES)
def test_what_only_resembles_an_entity_is_left_alone(entity: str) -> None:
    url = f"https://a.example/?a={entity}b"

    assert read_rule_url(url).urls == (url,)
    assert translate(url).url == url


@pytest.mark.parametrize("scheme", ["http\u017f", "HTTP\u017f"])
def test_a_scheme_of_other_letters_is_refused(scheme: str) -> None:
    with pytest.raises(TemplateError):
        compile_request(RequestTemplate(url=f"{scheme}://{{{{credential.host}}}}/?a=1"))


def test_a_text_that_is_far_too_long_for_an_address_stays_as_it_is() -> None:
    text = "https://a.example/?" + "%7B" * LONGEST_URL

    assert read_rule_url(text) == Pasted((text,), ())


def test_an_address_over_thousands_of_lines_is_read() -> None:
    lines = 2_000

    assert translate("https://a.example/?" + "a=\n" * lines).url.count("a=") == lines


@given(
    st.lists(
        st.sampled_from(
            [
                "{",
                "}",
                "(",
                ")",
                "$",
                "${",
                "!",
                '"',
                "'",
                "|",
                "||",
                "<#if ",
                "<#else>",
                "</#if>",
                "{{",
                "}}",
                "idfa",
                "gps_adid",
                "?",
                "&x=",
                "https://a.com/",
                "%7B",
                "__IDFA__",
                " ",
                "NETWORK=",
                "cl?",
                ":",
                "\0",
                "\n",
                "<script>",
                "é",
            ]
        ),
        max_size=40,
    )
)
def test_nothing_that_is_pasted_breaks_it(pieces: list[str]) -> None:
    translation = translate("".join(pieces))

    assert (
        translation.translated
        or translation.untranslated
        or translation.notes
        or translation.vendor == ""
    )
