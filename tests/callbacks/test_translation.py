"""URLs from other tools become ours, and nothing of theirs is ever sent as it stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postbacks.callbacks.macros import RequestTemplate, compile_request
from postbacks.callbacks.macros.vendors import VENDORS
from postbacks.callbacks.translation import LONGEST_URL, Certainty, translate
from tests.callbacks.translated_urls import BY_VENDOR

CASES = [
    pytest.param(vendor, theirs, ours, id=f"{vendor} {number}")
    for vendor, pairs in BY_VENDOR.items()
    for number, (theirs, ours) in enumerate(pairs, start=1)
]


def test_each_family_has_its_six_urls() -> None:
    families = {vendor: len(pairs) for vendor, pairs in BY_VENDOR.items() if vendor != "tenjin"}

    assert set(BY_VENDOR) == set(VENDORS)
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
        ("https://a.com/?x={idfa}", "adjust", Certainty.GUESS),
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
