"""What is no id: macros that nobody filled, and words in place of ids; and what must stay one."""

import hashlib

import pytest

from postbacks.values.placeholders import is_no_value, is_placeholder, unfilled_macro, why_no_id


def _digest(algorithm: str, text: bytes) -> str:
    return hashlib.new(algorithm, text, usedforsecurity=False).hexdigest()


# Decoded from `%%DEVICE_ID%%`, whose `%DE` is no character.
HALF_DECODED = "%\ufffdVICE_ID%%"
ZEROS = "00000000-0000-0000-0000-000000000000"

MACROS = [
    *("__CLICK_ID__:__SUB__", "{clickid},{sub1}"),
    *(HALF_DECODED, "%s", "%@", "%1$s", "%(click_id)s", "{{ .ClickID }}", "{clickid}/{sub1}"),
    *("~~X~~", "|x|", "||click_id||", "~~CLICK_ID~~", "|CLICK-ID|", "~~sub1~~", "|aff_sub2|"),
    *("$$CLICK_ID$$", "{x}", "[X]", "##X##", "%%X%%", "__X__", "{{x}}"),  # the issue's
    *("${CLICK_ID}", "<click_id>", "@click_id@", "%7Bclick_id%7D", "#{x}", "{{gaid}}"),
    *("{ click_id }", "{{ad.id}}", "{{{click_id}}}", "[[clickid]]", "%CLICKID%"),
    *(
        "{aff_sub2}",
        "{md5_gaid}",
        "{gaid_sha256}",
        "{offer_id:12}",
        "{gaid||idfa}",
        "{{click|md5}}",
    ),
    *("%{x}", "@{x}", "$(clickid)", "$[clickid]", "{%click_id%}", "<%= click_id %>", "*|CLICK|*"),
    *("__CALLBACK_PARAM__", "#click_id#", "@@click@@", "{}", "{{}}", "[]", "${}"),
    *("{click-id}", "[CLICK ID]", "{your click id}", "{click_id!}", "{0}", "{transaction_id}}"),
    *("%257Bclick_id%257D", "%5BCLICK%5D", "&lt;click_id&gt;", "%24%7Bclickid%7D"),
    *("acme_{click_id}", "{click_id}_{sub1}", "unityads_%%CLICK%%", "net2-[CLICKID]"),
]
INVISIBLE = [
    *("\u200b", "\u200b\u200b", "\u00ad", "\u2061", "\u034f", "\u3164", "\u180e", "\u2800"),
    *("\U000e0020", "\u2066", "\ufe0f", "\u115f", "\uffa0", "\u202e", " \u200d ", "\u206a\ufeff"),
]
WORDS = [
    *INVISIBLE,
    *(
        "REPLACE",
        "replace",
        "REPLACE_THIS",
        "[REPLACE]",
        "<replace>",
        "placeholder",
        "your_replace",
    ),
    *("0.0", "0.00", "YOUR_GAID", "YOUR-IDFA", "click_id_macro", "INSERT_CLICK_ID_HERE"),
    *("null\u200b", "\ufeffundefined"),
    *("(af_siteid)", "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"),
    *("null", "undefined", "guest", "9774d56d682e549c", ZEROS, "unknown", "(not set)", "0"),
    *("NULL", "None", "nil", "N/A", "n.a.", "(null)", "<null>", "NaN", "[object Object]", "-"),
    *("--", "", "  ", "not_set", "not-set", "(none)", "<nil>", "%!s(<nil>)", "\\N", "#N/A", "-1"),
    *(ZEROS.replace("-", ""), "0000000000000000", "{" + ZEROS + "}", "urn:uuid:" + ZEROS, "000"),
    *("ffffffff-ffff-ffff-ffff-ffffffffffff", "F" * 32, "02:00:00:00:00:00", "00:00:00:00:00:00"),
    *("Guest User", "anonymous", "not available", "nullptr", "null,null", "'null'", '"undefined"'),
    *("9774D56D682E549C", "Optional(nil)", "unidentified", "?", "...", "none\n"),
    *(
        "CLICK_ID",
        ":click_id",
        "(clickid)",
        "~click_id~",
        "$click_id",
        "{click_id",
        "!gaid!",
        "clickid",
        "GAID",
        "$idfa",
        "%23clickid",
        "gps_adid",
        "user_id",
    ),
    *(_digest("sha1", b"null"), _digest("md5", ZEROS.encode()).upper()),
    *(_digest("md5", b""), _digest("sha256", b"undefined")),
    _digest("sha1", ZEROS.replace("-", "").encode()),
]
IDS = [
    *("a|b", "|x", "~x~", "~~x", "x~~y~~", "replaced", "replace7", "\u2764\ufe0f", "a\u00adb"),
    *("yourname", "0.5", "1.0", "0a", "ab__C__7f3", "my-id", "0.0.0.1"),
    *(
        "x",
        "xx",
        "XXXX",
        "x" * 1_100,
        "xxl",
        "%sale",
        "(af)",
        "<CAF-7d@mail.example.com>",
        "[2001:db8::7]",
        "%C3%A9",
    ),
    *("x1", "abc_def", "%2Bk3%2F9", "test", "1", "42", "007", "-12", "+1", "a", "A1", "null1"),
    *("38400000-8cf0-11bd-b23e-10b96e40000d", "{38400000-8CF0-11BD-B23E-10B96E40000D}"),
    *("384000008cf011bdb23e10b96e40000d", "{abcdefab-cdef-abcd-efab-cdefabcdefab}", "a1b2c3"),
    *("urn:uuid:38400000-8cf0-11bd-b23e-10b96e40000d", "9774d56d682e549d", "user-1047"),
    *("{a93f01c7}", "__a93f01c7__", "acme_7f3a", "{click_id}-7f3a91", "acme_0012", "f", "ffffffff"),
    *("TestInstall", "Nullarbor", "guest-17", "nonesuch", "unknown.soldier@example.com"),
    *("CjwKCAiA_9r_BRBZEiwAHZ_v1", "eyJhbGciOiJ9.e30=", "AbC+/dEf==", "$2y$10$abcdefgh", "%abc"),
    *(
        "E.C.P.C12ab",
        "IwAR0-_x9",
        "__tn__=7c",
        "00000001",
        "0x1f",
        "10-0",
        "00000000-0000-0000-0000-00000000001a",
    ),
    *(
        "李雷",
        "Łódź",
        "😀",
        "josé@example.com",
        "{" + '"id":1' + "}",
        "a" * 1_100,
        "-abc-",
        "~x~1",
        "(bob)",
        ":smile:",
        "#tag!",
    ),
    _digest("sha1", b"38400000-8cf0-11bd-b23e-10b96e40000d"),
]


@pytest.mark.parametrize("value", [*MACROS, *WORDS])
def test_what_a_program_or_a_network_left_in_place_of_an_id_is_none(value: str) -> None:
    assert is_placeholder(value)
    assert why_no_id(value)


@pytest.mark.parametrize("value", IDS)
def test_whatever_can_be_an_id_stays_one(value: str) -> None:
    assert not is_placeholder(value)
    assert not why_no_id(value)


@pytest.mark.parametrize("value", MACROS)
def test_a_macro_is_no_value_of_any_parameter_and_is_named(value: str) -> None:
    assert is_no_value(value)
    assert unfilled_macro(value) == value


@pytest.mark.parametrize(
    "value",
    [
        "0",
        "unknown",
        "guest",
        "clickid",
        "na",
        "-",
        "DE",
        "true",
        "x1",
        "{a93f01c7}",
        "1.5",
        "(new)",
        "[EU] 2",
        "<3",
        "50%",
        "#1",
    ],
)
def test_a_parameter_that_is_no_id_may_be_a_word(value: str) -> None:
    assert not is_no_value(value)


@pytest.mark.parametrize("value", ["", " ", "null", "(null)", "None", "undefined", "N/A", "(nil)"])
def test_a_parameter_of_any_kind_without_a_value_is_empty(value: str) -> None:
    assert is_no_value(value)


def test_a_hostile_value_is_judged_at_once() -> None:
    for value in (
        "{" + "a" * 60_000,
        "_" * 60_000,
        "{a" * 20_000,
        "%" * 60_000,
        "{" + "a_" * 60 + "\x01",
    ):
        assert not unfilled_macro(value)
