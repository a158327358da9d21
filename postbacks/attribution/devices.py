"""Compares what a touchpoint and an install tell of the device, where no id is shared."""

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

Profile = tuple[str, str, str]  # version, model, language; "" where it is not known


def os_family(name: str) -> str:
    """Return the operating system without its variants: `ios` for iPadOS; "" if it is not known."""
    letters = _NOT_A_LETTER.sub("", name.lower())
    return _FAMILY.get(letters, letters)


def profile(device: CandidateTouchpoint | InstallEvidence) -> Profile:
    """Return what is known of a device, in the form in which it is compared."""
    if device.device_model.strip() == _HIDDEN:
        return "", "", _language(device)
    version = device.os_version.strip().replace("_", ".")
    return version, device.device_model.strip().lower(), _language(device)


def may_be_one(one: Profile, other: Profile) -> bool:
    """Tell whether two profiles agree in everything that both of them know."""
    version, model, language = zip(one, other, strict=True)
    return _agree(*version) and _models_agree(*model) and _agree(*language)


def _language(device: CandidateTouchpoint | InstallEvidence) -> str:
    return re.split(r"[,;]", device.language)[0].strip().replace("_", "-").lower()


def _agree(one: str, other: str) -> bool:
    """Compare as far as both tell: 18.2 and 18.2.1 agree, en and en-US too."""
    return all(first == second for first, second in _pairs(one, other))


def _pairs(one: str, other: str) -> Iterator[tuple[str, str]]:
    if one and other:
        yield from zip(_BETWEEN_PARTS.split(one), _BETWEEN_PARTS.split(other), strict=False)


def _models_agree(one: str, other: str) -> bool:
    if not one or not other or one == other:
        return True
    shorter, longer = sorted((one, other), key=len)
    return shorter in _ALL_MODELS_OF and longer.startswith(shorter)
