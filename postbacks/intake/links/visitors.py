"""Who opens a link: the device that a User-Agent names, or a program that previews or crawls.

Plain Python.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

IOS: Final = "ios"
ANDROID: Final = "android"
WINDOWS: Final = "windows"
MACOS: Final = "macos"

_KNOWN: Final = 1_000  # texts whose meaning is kept: many devices send the same

_IOS: Final = re.compile(r"\b(iPhone|iPad|iPod)\b(?:.*?\bOS (\d+(?:_\d+)*))?")
_ANDROID: Final = re.compile(r"\bAndroid\b(?: (\d+(?:\.\d+)*))?([^)]*)")
_OTHERS: Final = (
    ("chromeos", re.compile(r"\bCrOS\b(?: \w+ (\d+(?:\.\d+)+))?")),
    (WINDOWS, re.compile(r"\bWindows\b(?: (?:NT |Phone )?(\d+(?:\.\d+)*))?")),
    (MACOS, re.compile(r"\bMac(?:intosh|OS)?\b(?:.*?OS X (\d+(?:[._]\d+)*))?")),
    ("linux", re.compile(r"\bLinux\b()")),
)
# On an iPad these call themselves CriOS, FxiOS, EdgiOS, OPT.
_DESKTOP_BROWSER: Final = re.compile(r"\b(?:Chrome|Chromium|Firefox|Edg|OPR|Electron)/")
_BUILD: Final = re.compile(r"\s+Build/.*$")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})?")
_NO_MODEL: Final = {"", "K", "Mobile", "Tablet", "wv", "U"}  # K: what Chrome says since 2023

# A language, or the version of Firefox, which names no model.
_IS_NO_MODEL: Final = re.compile(r"[a-z]{2}[-_][A-Za-z]{2}|rv:[\d.]+")

_PREFETCH_HEADERS: Final = ("HTTP_PURPOSE", "HTTP_SEC_PURPOSE", "HTTP_X_PURPOSE", "HTTP_X_MOZ")
_PREFETCH_WORDS: Final = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
# A phone of the make Cubot is none, nor is the browser inside of Facebook's, Line's or Viber's app.
_BOTS: Final = re.compile(
    r"(?<!cu)bot(?:\b|_)|crawler|spider|facebookexternalhit|facebookcatalog|facebot"
    r"|^whatsapp/|slack-imgproxy|slackbot|twitterbot|telegrambot|linkedinbot|discordbot"
    r"|skypeuripreview|vkshare|pinterest/0|embedly|quora link preview|outbrain|nuzzel|bitlybot"
    r"|google-inspectiontool|google-read-aloud|googleother|mediapartners-google|apis-google"
    r"|bingpreview|yandex(?:images|metrika)|snap url preview|iframely|redditbot|mastodon/"
    r"|microsoftpreview|msteams|chrome-lighthouse",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """The device that an ad was shown on, as far as a request or a report describes it."""

    address: str | None
    user_agent: str = ""
    accept_language: str = ""


@dataclass(frozen=True, slots=True)
class VisitorDevice:
    """A device for comparing and for choosing a store; a field is empty if unknown."""

    os_name: str = ""
    os_version: str = ""
    model: str = ""
    language: str = ""
    # An iPad that asks for a desktop's pages calls itself a Macintosh, as Safari on a Mac does.
    is_surely_mac: bool = field(default=False, compare=False)


def read_device(user_agent: str, accept_language: str = "") -> VisitorDevice:
    """Return the device that these headers of a request describe."""
    device = _read_user_agent(user_agent[:1024])
    language = _language(accept_language)
    return replace(device, language=language) if language else device


@lru_cache(maxsize=_KNOWN)
def _read_user_agent(text: str) -> VisitorDevice:
    if match := _ANDROID.search(text):  # before the others: it calls itself Linux too
        version, details = match[1] or "", match[2]
        return VisitorDevice(ANDROID, version[:32], _model(details))
    if match := _IOS.search(text):
        return VisitorDevice(IOS, (match[2] or "").replace("_", ".")[:32], match[1])
    for name, pattern in _OTHERS:
        if match := pattern.search(text):
            version = (match[1] or "").replace("_", ".")[:32]
            is_mac = name == MACOS and _DESKTOP_BROWSER.search(text) is not None
            return VisitorDevice(name, version, is_surely_mac=is_mac)
    return VisitorDevice()


def is_preview(method: str, meta: Mapping[str, object]) -> bool:
    """Tell whether a program prefetches the link or only asks for its headers."""
    if method == "HEAD":
        return True
    return any(
        _PREFETCH_WORDS.search(str(meta[name])) for name in _PREFETCH_HEADERS if name in meta
    )


def is_bot(user_agent: str) -> bool:
    """Tell whether a program reads the link to show it in a chat, or to index it."""
    return _names_bot(user_agent[:1024])


@lru_cache(maxsize=_KNOWN)
def _names_bot(text: str) -> bool:
    return _BOTS.search(text) is not None


def _model(details: str) -> str:
    """Return the model in `; SM-G991B Build/TP1A`; a language may come before it."""
    for part in details.split(";"):
        text = _BUILD.sub("", part.strip())
        if text not in _NO_MODEL and not _IS_NO_MODEL.fullmatch(text):
            return text[:64]
    return ""


def _language(accepted: str) -> str:
    match = _LANGUAGE.match(accepted.strip())
    return match[0].replace("_", "-")[:32] if match else ""
