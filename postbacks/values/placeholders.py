"""Values that stand in place of ids: macros that nobody filled, and words for “there is none”.

One value that everybody sends makes everybody one device, or one click. So intake, links,
touchpoints, hashes and macros all ask here. A value counts as an id unless it surely is none:
`x1`, `abc_def` and `%2Bk3` are ids, and so is `{a93f01}`, a filled macro in braces of its own.
"""

import hashlib
import html
import re
from typing import Final
from urllib.parse import unquote


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A device or a person that is none, as programs and people write it; in small letters, without
# the punctuation around and inside: `(not set)`, `N/A` and `[object Object]` are here too.
_WORDS: Final = _words("""
    null nil none undefined nan na nullptr void novalue nothing empty blank missing nonetype nsnull
    notset unset notprovided notavailable notapplicable notfound notdefined unavailable unknown
    unspecified undetermined notdetermined optionalnil optionalnone objectobject objectundefined
    objectnull stringnull nullnull undefinedundefined nullundefined undefinednull unknownunknown
    noid nodeviceid noidfa nogaid noclickid nouser nouserid invalid invalidid false true
    guest guestuser anonymous anonymoususer anon anonuser unknownuser unknowndevice unidentified
    notloggedin loggedout notsignedin
""")
# The same, where punctuation shows that no id is meant: MySQL's \N, Go's %!s(<nil>), a MAC address
# that Android gives to every app.
_PUNCTUATED_WORDS: Final = _words("n snil vnil dnil ref 020000000000")
# An id of Android 2.2 that all devices of several makers have.
_SHARED_IDS: Final = _words("9774d56d682e549c")
# The names of ids: a parameter that holds its own name was never filled.
_NAMES_OF_IDS: Final = _words("""
    clickid clkid clid affclickid externalclickid adjustexternalclickid
    replace replaceme replacethis changeme placeholder transactionid requestid
    impressionid gclid gbraid wbraid fbclid ttclid msclkid twclid advertisingid gaid googleaid
    googleadvertisingid aaid adid aifa gpsadid idfa ifa iosifa rdid oaid amazonid amazonaid fireid
    fireadid idfv developerdeviceid vendorid androidid appsetid installid installationid
    analyticsinstallationid appsflyerid webid webuuid deviceid udid uuid guid customeruserid
    customerid userid externaluserid
""")
# As documentation writes them: YOUR_GAID, INSERT_CLICK_ID_HERE.
_TO_BE_REPLACED: Final = frozenset(
    before + name + after
    for name in _NAMES_OF_IDS
    for before in ("your", "my", "insert", "")
    for after in ("here", "macro", "")
)
_NULLS: Final = _words("null nil none undefined")
_NO_VALUE: Final = re.compile(  # of any parameter, not only of an id
    r"[\s(<\[{\"']*(?:null|nil|none|undefined|n/a|not[ _-]set|object[ ]object)[\s)>\]}\"']*",
    re.IGNORECASE,
)

_PART: Final = r"(?:sha\d{1,3}|[^\W\d_]+\d{0,2}|[^\W\d_]{2,}\d{1,2}[^\W\d_]{2,}\d{0,2}|\d{1,2})"
_NAME: Final = (
    rf"[\s!=%?_.\ufffd-]{{0,3}}{_PART}(?:[\s_.:|!,'\"-]{{1,3}}{_PART})*[\s!=%?_.-]{{0,3}}"
)
_MACRO: Final = re.compile(
    rf"[$#%@&!]?[{{\[<]{{1,3}}[%?*|=]?{_NAME}[%?*|]?[}}\]>]{{1,3}}|[$#%@]\({_NAME}\)[sd]?"
    rf"|(?P<mark>[$#%@]{{1,2}}|__|\*\||~~|\|{{1,2}}){_NAME}(?:(?P=mark)|\|\*)"
)
# Without a name: braces, and what printf would have filled.
_EMPTY_MACRO: Final = re.compile(
    r"[$#%@]?(?:\{[{}\s]*\}|\[[\[\]\s]*\]|<[<>\s]*>)|%(?:\d\$)?(?:[sdiu@]|l[du])"
)
# As AppsFlyer writes macros: a name of several words; one word alone may be somebody's.
_IN_PARENTHESES: Final = re.compile(r"\([a-z]+(?:[_-][a-z0-9]+)+\)", re.IGNORECASE)
_CROSSED_UUID: Final = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"  # as in documentation
_MACRO_INSIDE: Final = re.compile(
    rf"[$#%@]?\{{{{1,3}}{_NAME}\}}{{1,3}}|\[{{1,2}}{_NAME}\]{{1,2}}"
    rf"|%%{_NAME}%%|\$\${_NAME}\$\$|##{_NAME}##"
    r"|__[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*__"
)
# What may stand beside macros without making a value one person's own: the network's name.
_AROUND_MACROS: Final = re.compile(r"(?:[^\W\d_]++\d?|[\s_.:|,/-])*+")
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PUNCTUATION: Final = re.compile(
    r"[\s\x00-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f"
    # And what nobody sees: joiners, marks of direction, blank letters, selectors and tags.
    r"\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f"
    r"\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]+"
)
_BRACED_UUID: Final = re.compile(
    r"\{[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\}", re.IGNORECASE
)
_ONLY_ZEROS: Final = re.compile(r"0[0.-]*")
_LONGEST_WORD: Final = 32
_SHORTENED: Final = re.compile(r".{32}… \([0-9,]+ characters\)", re.DOTALL)
_LONGEST_MACRO: Final = 128
_HIGHEST_UUID: Final = "f" * 32


def is_placeholder(value: str) -> bool:
    """Tell whether a value stands in place of an id: nothing, zeros, a word, or a macro."""
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return _is_word(text)
    return any(map(_is_word_in_punctuation, _spellings(text))) or bool(unfilled_macro(text))


def is_no_value(value: str) -> bool:
    """Tell whether a parameter of any kind has no value: empty, `null`, or an unfilled macro.

    Unlike an id it may well be 0, `unknown`, or its own name.
    """
    text = value.strip()
    if _PLAIN.fullmatch(text):
        return text.lower() in _NULLS
    return not text or _NO_VALUE.fullmatch(text) is not None or bool(unfilled_macro(text))


def unfilled_macro(value: str) -> str:
    """Return the macro that a value is, as it was sent; empty if it is none.

    A constant such as the network's name may stand beside it: `acme_{click_id}` is the same for
    everybody. A filled one may not: `{click_id}-7f3a91` is an id.
    """
    text = value.strip()
    if not text or len(text) > _LONGEST_MACRO or _PLAIN.fullmatch(text):
        return ""
    return text if any(map(_is_macro, _spellings(text))) else ""


def why_no_id(value: str) -> str:
    """Return the sentence that says why a value is no id; empty if it may be one."""
    if not is_placeholder(value):
        return ""
    text = value.strip()
    shown = f"“{text[:_LONGEST_MACRO]}”"
    if not text:
        return "The text is empty."
    if unfilled_macro(text) and not any(map(_is_known_word, _spellings(text))):
        return f"{shown} is a macro that was not filled in."
    return f"{shown} is what devices and programs send instead of an ID."


def _is_known_word(text: str) -> bool:
    return _PUNCTUATION.sub("", text).lower() in _WORDS


def _spellings(text: str) -> list[str]:
    """Return a text as it is and decoded, for links are encoded once too often."""
    texts = [text]
    if "%" in text:
        texts += [once := unquote(text), unquote(once)]
    if "&" in text:
        texts.append(html.unescape(text))
    return texts


def _is_macro(text: str) -> bool:
    if _EMPTY_MACRO.fullmatch(text):
        return True
    if _MACRO.fullmatch(text):
        return _BRACED_UUID.fullmatch(text) is None
    others, macros = _MACRO_INSIDE.subn("", text)
    return bool(macros) and _AROUND_MACROS.fullmatch(others) is not None


def _is_word(text: str) -> bool:
    lowered = text.lower()
    if lowered in _PLACEHOLDERS:
        return True
    if lowered[0] in "0f" and _is_of_zeros(lowered):
        return True
    if len(lowered) > _LONGEST_WORD or lowered.isalnum():
        return False
    return lowered.replace("-", "").replace("_", "").replace(".", "") in _PLACEHOLDERS


def _is_word_in_punctuation(text: str) -> bool:
    letters = _PUNCTUATION.sub("", text).lower().removeprefix("urnuuid")
    return (
        not letters
        or text == "-1"
        or letters in _PUNCTUATED_WORDS
        or _IN_PARENTHESES.fullmatch(text) is not None
        or _is_word(letters)
    )


def _is_of_zeros(lowered: str) -> bool:
    """Tell whether an id is the lowest UUID, the highest, or any other row of zeros."""
    if lowered[0] == "0":
        return _ONLY_ZEROS.fullmatch(lowered) is not None
    return lowered[0] == "f" and lowered.replace("-", "") == _HIGHEST_UUID


def _digests() -> frozenset[str]:
    """Return the hashes of words and zeros: `sha1("null")` is as good as `null`."""
    zeros = "00000000-0000-0000-0000-000000000000"
    words = {"", "0", "n/a", "(null)", "not set", "(not set)", zeros, zeros.replace("-", "")}
    words |= _WORDS | _NAMES_OF_IDS | _SHARED_IDS
    texts = {form for word in words for form in (word, word.upper(), word.capitalize())}
    return frozenset(
        hashlib.new(algorithm, text.encode(), usedforsecurity=False).hexdigest()
        for text in texts
        for algorithm in ("md5", "sha1", "sha256")
    )


_PLACEHOLDERS: Final = _WORDS | _TO_BE_REPLACED | _SHARED_IDS | {_CROSSED_UUID} | _digests()


def shortened(value: str) -> str:
    """Return the beginning of a value that was left out because it was too long, and its length."""
    return f"{value[:_LONGEST_WORD]}… ({len(value):,} characters)"


def why_shortened(value: str) -> str:
    """Return why a value was left out that `shortened` made; "" of any other."""
    if not _SHORTENED.fullmatch(value):
        return ""
    return "The value is longer than the 2,048 characters that a click ID may have."
