"""What a User-Agent tells of a device: enough to compare devices and to choose a store. Plain
Python.
"""

import re
from dataclasses import dataclass
from typing import Final

IOS: Final = "ios"
ANDROID: Final = "android"
WINDOWS: Final = "windows"

_IOS: Final = re.compile(r"\b(iPhone|iPad|iPod)\b(?:.*?\bOS (\d+(?:_\d+)*))?")
_ANDROID: Final = re.compile(r"\bAndroid\b(?: (\d+(?:\.\d+)*))?([^)]*)")
_OTHERS: Final = (
    ("chromeos", re.compile(r"\bCrOS\b(?: \w+ (\d+(?:\.\d+)+))?")),
    (WINDOWS, re.compile(r"\bWindows\b(?: (?:NT |Phone )?(\d+(?:\.\d+)*))?")),
    ("macos", re.compile(r"\bMac(?:intosh|OS)?\b(?:.*?OS X (\d+(?:[._]\d+)*))?")),
    ("linux", re.compile(r"\bLinux\b()")),
)
_BUILD: Final = re.compile(r"\s+Build/.*$")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})?")
_NO_MODEL: Final = {"", "K", "Mobile", "Tablet", "wv", "U"}  # K: what Chrome says since 2023

# A language, or the version of Firefox, which names no model.
_IS_NO_MODEL: Final = re.compile(r"[a-z]{2}[-_][A-Za-z]{2}|rv:[\d.]+")


@dataclass(frozen=True, slots=True)
class VisitorDevice:
    """What is known of a device; empty where nothing is."""

    os_name: str = ""
    os_version: str = ""
    model: str = ""
    language: str = ""


def read_device(user_agent: str, accept_language: str = "") -> VisitorDevice:
    """Return what the headers of a request tell."""
    language = _language(accept_language)
    text = user_agent[:1024]
    if found := _ANDROID.search(text):  # before the others: it calls itself Linux too
        version, rest = found[1] or "", found[2]
        return VisitorDevice(ANDROID, version[:32], _model(rest), language)
    if found := _IOS.search(text):
        return VisitorDevice(IOS, (found[2] or "").replace("_", ".")[:32], found[1], language)
    for name, form in _OTHERS:
        if found := form.search(text):
            return VisitorDevice(name, (found[1] or "").replace("_", ".")[:32], "", language)
    return VisitorDevice(language=language)


def _model(rest: str) -> str:
    """Return the model in `; SM-G991B Build/TP1A`, which a language may stand before."""
    for part in rest.split(";"):
        text = _BUILD.sub("", part.strip())
        if text not in _NO_MODEL and not _IS_NO_MODEL.fullmatch(text):
            return text[:64]
    return ""


def _language(accepted: str) -> str:
    found = _LANGUAGE.match(accepted.strip())
    return found[0].replace("_", "-")[:32] if found else ""
