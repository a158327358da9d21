"""Compares the devices that a touchpoint and an install describe, where they share no id."""

import re
from collections.abc import Iterator

from postbacks.attribution.evidence import CandidateTouchpoint, InstallEvidence

_FAMILIES = {
    "ios": ("ios", "ipados", "iphoneos", "iphone", "ipad", "ipod"),
    "android": ("android", "amazon", "fireos", "harmonyos"),
    "windows": ("windows",),
    "macos": ("macos", "macosx"),
}
_FAMILY = {name: family for family, names in _FAMILIES.items() for name in names}
_NOT_A_LETTER = re.compile(r"[^a-z]")
_BETWEEN_PARTS = re.compile(r"[._-]")
_ALL_MODELS_OF = ("iphone", "ipad", "ipod")  # all that a web browser tells of an Apple device
_HIDDEN = "K"  # the model that Chrome tells of every Android, together with the version 10

Profile = tuple[str, str, str]  # version, model, language; "" where unknown


def os_family(name: str) -> str:
    """Return the operating system without its variants: `ios` for iPadOS; "" if unknown."""
    letters = _NOT_A_LETTER.sub("", name.lower())
    return _FAMILY.get(letters, letters)


def profile(device: CandidateTouchpoint | InstallEvidence) -> Profile:
    """Return the version, model and language of a device, normalized for comparison."""
    if device.device_model.strip() == _HIDDEN:
        return "", "", _language(device)
    version = device.os_version.strip().replace("_", ".")
    return version, device.device_model.strip().lower(), _language(device)


def may_be_one(first: Profile, second: Profile) -> bool:
    """Tell whether two profiles agree in every part that both have."""
    version, model, language = zip(first, second, strict=True)
    return _agree(*version) and _models_agree(*model) and _agree(*language)


def _language(device: CandidateTouchpoint | InstallEvidence) -> str:
    return re.split(r"[,;]", device.language)[0].strip().replace("_", "-").lower()


def _agree(first: str, second: str) -> bool:
    """Compare the parts that both have: 18.2 and 18.2.1 agree, en and en-US too."""
    return all(left == right for left, right in _part_pairs(first, second))


def _part_pairs(first: str, second: str) -> Iterator[tuple[str, str]]:
    if first and second:
        yield from zip(_BETWEEN_PARTS.split(first), _BETWEEN_PARTS.split(second), strict=False)


def _models_agree(first: str, second: str) -> bool:
    if not first or not second or first == second:
        return True
    shorter, longer = sorted((first, second), key=len)
    return shorter in _ALL_MODELS_OF and longer.startswith(shorter)
